"""PredFormer: gated transformers over the patches of all frames, in space, in time or in both.

Tang et al., "PredFormer: Transformers Are Effective Spatial-Temporal Predictive Learners", 2024,
https://arxiv.org/abs/2410.04733 (fig. 2 and 3: the nine variants). Tested against the reference
code.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.gatedtransformer import GatedTransformerLayer
from predcnn.checks import unknown
from predcnn.ops.attention import sinusoid_position
from predcnn.predictors.one_pass import OnePassPredictor, is_direct
from predcnn.registry import PREDICTORS

AXES = {
    "space": "b t n d -> (b t) n d",
    "time": "b t n d -> (b n) t d",
    "both": "b t n d -> b (t n) d",
}
"""Which tokens attend to each other: those of one frame, of one place, or all."""

ST = {"st_space_transformer": "space", "st_temporal_transformer": "time"}
TS = {"ts_temporal_transformer": "time", "ts_space_transformer": "space"}
VARIANTS: dict[str, dict[str, str]] = {
    "full": {"space_temporal_transformer": "both"},
    "facst": {"space_transformer": "space", "temporal_transformer": "time"},
    "facts": {"temporal_transformer": "time", "space_transformer": "space"},
    "binaryst": ST,
    "binaryts": TS,
    "sts": {
        "space_transformer_first": "space",
        "temporal_transformer": "time",
        "space_transformer_second": "space",
    },
    "tst": {
        "temporal_transformer_first": "time",
        "space_transformer": "space",
        "temporal_transformer_second": "time",
    },
    "stts": {**ST, **TS},
    "tsst": {**TS, **ST},
}
"""Variant -> the stacks of one block in their order: published name -> key of `AXES`."""

FACTORISED = ("full", "facst", "facts")
"""Variants with one block of stacks ``depth`` layers deep; the others repeat the block."""


class GatedTransformer(nn.Module):
    """Layers along one of `AXES`, then LayerNorm, (B, T, N, d) -> (B, T, N, d)."""

    def __init__(self, axis: str, layers: Sequence[nn.Module], dim: int) -> None:
        super().__init__()
        self.pattern = AXES[axis]
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
        if variant not in VARIANTS:
            raise ValueError(unknown("variant of PredFormer", variant, VARIANTS))
        T, C, H, W = self.in_shape
        self.size_multiple = patch_size
        self.scrambled = variant == "facst" and compat == "openstl"
        self.embed = nn.Linear(C * patch_size**2, dim)
        tokens = T * ceil(H / patch_size) * ceil(W / patch_size)
        self.register_buffer("position", sinusoid_position(tokens, dim), persistent=False)
        rates = {"drop_path": drop_path, "dropout": dropout, "attn_dropout": attn_dropout}
        layer = partial(
            GatedTransformerLayer, dim, dim * scale_dim, heads=heads, head_dim=dim_head, **rates
        )
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
        x = self.blocks(x + self._positions(x))
        if self.scrambled:
            x = x.transpose(1, 2).reshape(x.shape)
        if self.horizon is not None:
            x = self.horizon(x.transpose(1, 3)).transpose(1, 3)  # (B, frames_out, N, d)
        pixels = "b t (h w) (c p q) -> b t c (h p) (w q)"
        return rearrange(self.head(x), pixels, h=rows, p=p, q=p)

    def _positions(self, x: Tensor) -> Tensor:
        """Return the positions (T, N, d) of tokens ``x``."""
        frames, places, dim = x.shape[1:]
        table = self.position
        if frames * places > len(table):
            table = sinusoid_position(frames * places, dim, device=x.device).to(table.dtype)
        return table[: frames * places].view(frames, places, dim)


def _blocks(
    stacks: Mapping[str, str], depth: int, layers: int, layer: Callable[[], nn.Module], dim: int
) -> nn.Sequential:
    """Build ``depth`` blocks of the named stacks, each of as many ``layers``."""

    def block() -> nn.Sequential:
        parts = {
            name: GatedTransformer(axis, [layer() for _ in range(layers)], dim)
            for name, axis in stacks.items()
        }
        return nn.Sequential(OrderedDict(parts))

    return nn.Sequential(*(block() for _ in range(depth)))
