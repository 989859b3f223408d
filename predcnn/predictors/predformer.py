"""PredFormer: gated transformers over the patches of all frames, in space, in time or in both.

Tang et al., "PredFormer: Transformers Are Effective Spatial-Temporal Predictive Learners", 2024,
https://arxiv.org/abs/2410.04733 (fig. 2 and 3: the nine variants). Compared with the published
code.
"""

from collections import OrderedDict
from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.gatedtransformer import GatedTransformerLayer
from predcnn.checks import unknown
from predcnn.ops.attention import sinusoid_position
from predcnn.predictors.protocol import Predictor
from predcnn.predictors.rollout import roll_out
from predcnn.predictors.simvp import HORIZON_HEADS
from predcnn.predictors.sizes import pad_to_multiple
from predcnn.registry import PREDICTORS

AXES = {
    "space": "b t n d -> (b t) n d",
    "time": "b t n d -> (b n) t d",
    "both": "b t n d -> b (t n) d",
}
"""What attends to what: tokens of one frame, of one place, or all of them."""

VARIANTS: dict[str, dict[str, str]] = {
    "full": {"space_temporal_transformer": "both"},
    "facst": {"space_transformer": "space", "temporal_transformer": "time"},
    "facts": {"temporal_transformer": "time", "space_transformer": "space"},
    "binaryst": {"st_space_transformer": "space", "st_temporal_transformer": "time"},
    "binaryts": {"ts_temporal_transformer": "time", "ts_space_transformer": "space"},
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
    "stts": {
        "st_space_transformer": "space",
        "st_temporal_transformer": "time",
        "ts_temporal_transformer": "time",
        "ts_space_transformer": "space",
    },
    "tsst": {
        "ts_temporal_transformer": "time",
        "ts_space_transformer": "space",
        "st_space_transformer": "space",
        "st_temporal_transformer": "time",
    },
}
"""Variant -> the stacks of one block in their order: published name -> what attends."""

FACTORISED = ("full", "facst", "facts")
"""Variants of one block, whose stacks are ``depth`` layers deep; the others repeat the block."""


class GatedTransformer(nn.Module):
    """A stack of layers along one axis and a closing LayerNorm, (B, T, N, d) -> (B, T, N, d).

    Args:
        axis: one of `AXES`.
        layers: the layers, on tokens (B', L, d).
        dim: d.
    """

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
class PredFormer(Predictor):
    """PredFormer, (B, T, C, H, W) -> (B, frames_out, C, H, W), unclipped, with no recurrence.

    One pass gives T frames: fewer are cut from these, more come from feeding the prediction back.
    With ``horizon_head="direct"`` a linear layer over time makes frames_out frames of tokens from
    T. Any H and W: what ``patch_size`` does not divide is padded by repeating the border and
    cropped again. Positions are fixed sines of frame and place, continued for larger frames.

    In the reference code of "facst" the tokens leave the temporal stack ordered by place, but are
    painted as if ordered by frame. They are put back in order here; compat "openstl" reproduces it.

    Args:
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: None or "openstl"; they differ for "facst" only.
        variant: full, facst, facts, binaryst, binaryts, sts, tst, stts or tsst: what attends in
            which order, S over space and T over time.
        patch_size: side of a patch in pixels.
        dim: width of the tokens.
        heads: of the attention.
        dim_head: channels of a head.
        scale_dim: hidden channels of the feed-forward part, in units of ``dim``.
        depth: number of blocks, of layers per stack for full, facst and facts (``Ndepth`` there).
        stack_depth: layers per stack of the other six (``depth`` in the reference code).
        dropout: inside the feed-forward parts.
        attn_dropout: behind the attention.
        drop_path: probability of skipping a residual branch, the same in all layers.
        horizon_head: "rollout" (published) or "direct", see above.

    Raises:
        ValueError: unknown variant or horizon head.
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
        if horizon_head not in HORIZON_HEADS:
            raise ValueError(unknown("horizon head", horizon_head, HORIZON_HEADS))
        T, C, H, W = self.in_shape
        self.patch_size, self.scrambled = patch_size, variant == "facst" and compat == "openstl"
        single = variant in FACTORISED
        self.openstl_keys = {"embed": "to_patch_embedding.1", "head": "mlp_head"}
        if single:
            self.openstl_keys["blocks.0"] = ""
        places = -(-H // patch_size) * -(-W // patch_size)
        self.embed = nn.Linear(C * patch_size**2, dim)
        self.register_buffer("position", sinusoid_position(T * places, dim), persistent=False)

        def stack(axis: str) -> GatedTransformer:
            layers = [
                GatedTransformerLayer(
                    dim,
                    dim * scale_dim,
                    heads=heads,
                    head_dim=dim_head,
                    drop_path=drop_path,
                    dropout=dropout,
                    attn_dropout=attn_dropout,
                )
                for _ in range(depth if single else stack_depth)
            ]
            return GatedTransformer(axis, layers, dim)

        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    OrderedDict({n: stack(axis) for n, axis in VARIANTS[variant].items()})
                )
                for _ in range(1 if single else depth)
            )
        )
        self.direct = horizon_head == "direct"
        if self.direct:
            self.horizon = nn.Linear(T, self.frames_out)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, C * patch_size**2))

    def forward(self, past: Tensor) -> Tensor:
        self.check_past(past)
        return self.rollout(past, self.frames_out)

    def rollout(self, past: Tensor, horizon: int) -> Tensor:
        """Return the next ``horizon`` frames; a pass gives T or ``frames_out``, the fewer of both.

        With the direct head a pass gives ``frames_out``.
        """
        return roll_out(self._one_pass, past, horizon)

    def _one_pass(self, past: Tensor) -> Tensor:
        height, width = past.shape[-2:]
        p = self.patch_size
        frames = pad_to_multiple(past, p)
        rows = frames.shape[-2] // p
        # the pixels of a patch are read with the channels last and written with them first
        patches = rearrange(frames, "b t c (h p) (w q) -> b t (h w) (p q c)", p=p, q=p)
        x = self.embed(patches)  # (B, T, N, d)
        x = self.blocks(x + self._positions(x))
        if self.scrambled:
            x = x.transpose(1, 2).reshape(x.shape)
        if self.direct:
            x = self.horizon(x.transpose(1, 3)).transpose(1, 3)  # (B, frames_out, N, d)
        pixels = "b t (h w) (c p q) -> b t c (h p) (w q)"
        future = rearrange(self.head(x), pixels, h=rows, p=p, q=p)
        return future[:, : self.frames_out, :, :height, :width]

    def _positions(self, x: Tensor) -> Tensor:
        """Return the positions (T, N, d) of tokens ``x``; frames larger than built for get more."""
        frames, places, dim = x.shape[1:]
        table = self.position
        if frames * places > len(table):
            table = sinusoid_position(frames * places, dim, device=x.device).to(table.dtype)
        return table[: frames * places].view(frames, places, dim)
