"""PredFormer: gated transformers over the patches of all frames, in space, in time or in both.

Tang et al., "PredFormer: Transformers Are Effective Spatial-Temporal Predictive Learners", 2024,
https://arxiv.org/abs/2410.04733 (fig. 2 and 3: the nine variants). Tested against the reference
code.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.gatedtransformer import GatedTransformerLayer
from predcnn.checks import one_of, whole_number
from predcnn.ops.attention import sinusoid_position
from predcnn.predictors.protocol import OnePassPredictor, is_direct
from predcnn.registry import PREDICTORS

AXES = {
    "space_temporal": "b t n d -> b (t n) d",
    "temporal": "b t n d -> (b n) t d",
    "space": "b t n d -> (b t) n d",
}
"""Which tokens attend to each other: all, those of one place, or those of one frame."""

ST = "st_space_transformer st_temporal_transformer"
TS = "ts_temporal_transformer ts_space_transformer"
VARIANTS = {
    "full": "space_temporal_transformer",
    "facst": "space_transformer temporal_transformer",
    "facts": "temporal_transformer space_transformer",
    "binaryst": ST,
    "binaryts": TS,
    "sts": "space_transformer_first temporal_transformer space_transformer_second",
    "tst": "temporal_transformer_first space_transformer temporal_transformer_second",
    "stts": f"{ST} {TS}",
    "tsst": f"{TS} {ST}",
}
"""Variant -> published names of the stacks of one block in their order, each with one of `AXES`."""

FACTORISED = ("full", "facst", "facts")
"""Variants with one block of stacks ``depth`` layers deep; the others repeat the block."""


class GatedTransformer(nn.Module):
    """Layers along the first of `AXES` in ``name``, then LayerNorm, (B, T, N, d) is kept."""

    def __init__(self, name: str, layers: Sequence[nn.Module], dim: int) -> None:
        super().__init__()
        self.pattern = next(pattern for axis, pattern in AXES.items() if axis in name)
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, places, _ = x.shape
        folded, unfolded = self.pattern.split(" -> ")
        tokens = self.norm(self.layers(rearrange(x, self.pattern)))
        return rearrange(tokens, f"{unfolded} -> {folded}", b=batch, t=frames, n=places)


@PREDICTORS.register("predformer")
class PredFormer(OnePassPredictor):
    """PredFormer, (B, T, C, H, W) -> (B, frames_out, C, H, W), unclipped, any H and W.

    A pass gives T frames, or frames_out with ``horizon_head="direct"``, a linear layer over time.
    Positions are fixed sines of frame and place, continued for larger frames.

    In the reference code of "facst" the tokens are ordered by place after the temporal stack, but
    read as if ordered by frame. This is corrected here, except with compat "openstl".

    Args (others: see `Predictor`):
        variant: full, facst, facts, binaryst, binaryts, sts, tst, stts or tsst: the order of
            attention, S over space and T over time.
        patch_size: side of a patch in pixels.
        dim: width of the tokens.
        heads: of the attention.
        dim_head: channels of a head.
        scale_dim: hidden channels of the MLPs, in units of ``dim``.
        depth: number of blocks; for full, facst and facts layers per stack. ``Ndepth`` in the
            reference code.
        stack_depth: layers per stack of the other six, ``depth`` in the reference code.
        dropout: inside the MLPs.
        attn_dropout: after the attention.
        drop_path: probability of skipping a residual branch, the same in all layers.
        horizon_head: "rollout" (published) or "direct", see above.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        variant: str = "tsst",
        patch_size: int = 8,
        dim: int = 256,
        heads: int = 8,
        dim_head: int = 32,
        scale_dim: int = 4,
        depth: int = 6,
        stack_depth: int = 1,
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        drop_path: float = 0.0,
        horizon_head: str = "rollout",
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        one_of("variant of PredFormer", variant, VARIANTS)
        sizes = {"patch_size": patch_size, "dim": dim, "depth": depth, "stack_depth": stack_depth}
        for name, size in sizes.items():
            whole_number(name, size)
        T, C, H, W = self.in_shape
        self.size_multiple = patch_size
        self.scrambled = variant == "facst" and compat == "openstl"
        self.embed = nn.Linear(C * patch_size**2, dim)
        tokens = T * ceil(H / patch_size) * ceil(W / patch_size)
        self.register_buffer("position", sinusoid_position(tokens, dim), persistent=False)
        shared = {"drop_path": drop_path, "dropout": dropout, "attn_dropout": attn_dropout}
        shared |= {"heads": heads, "head_dim": dim_head}
        layer = partial(GatedTransformerLayer, dim, dim * scale_dim, **shared)
        self.openstl_keys = {"embed": "to_patch_embedding.1", "head": "mlp_head"}
        if variant in FACTORISED:
            self.openstl_keys["blocks.0"] = ""
            depth, stack_depth = 1, depth
        self.blocks = _blocks(VARIANTS[variant], depth, stack_depth, layer, dim)
        self.horizon = nn.Linear(T, self.frames_out) if is_direct(horizon_head) else None
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, C * patch_size**2))

    def one_pass(self, frames: Tensor) -> Tensor:
        p = self.size_multiple
        rows = frames.shape[-2] // p
        # the pixels of a patch are read with the channels last and written with them first
        patches = rearrange(frames, "b t c (h p) (w q) -> b t (h w) (p q c)", p=p, q=p)
        x = self.embed(patches)  # (B, T, N, d)
        frames_in, places, dim = x.shape[1:]
        count, table = frames_in * places, self.position
        if count > len(table):
            table = sinusoid_position(count, dim, device=x.device).to(table.dtype)
        x = self.blocks(x + table[:count].view(frames_in, places, dim))
        if self.scrambled:
            x = x.transpose(1, 2).reshape(x.shape)
        if self.horizon is not None:
            x = self.horizon(x.transpose(1, 3)).transpose(1, 3)  # (B, frames_out, N, d)
        pixels = "b t (h w) (c p q) -> b t c (h p) (w q)"
        return rearrange(self.head(x), pixels, h=rows, p=p, q=p)


def _blocks(
    stacks: str, depth: int, layers: int, layer: Callable[[], nn.Module], dim: int
) -> nn.Sequential:
    """Build ``depth`` blocks of the named stacks, each of as many ``layers``."""
    blocks = nn.Sequential()
    for _ in range(depth):
        named = ((name, [layer() for _ in range(layers)]) for name in stacks.split())
        parts = OrderedDict((name, GatedTransformer(name, stack, dim)) for name, stack in named)
        blocks.append(nn.Sequential(parts))
    return blocks
