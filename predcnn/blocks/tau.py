"""TAU: static attention within the maps times dynamical attention over the channels (frames).

Tan et al., "Temporal Attention Unit: Towards Efficient Spatiotemporal Predictive Learning", CVPR
2023, https://arxiv.org/abs/2206.12126 (fig. 3, eq. 3-5). Compared with the reference code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops import ConvMlp, init_fan_out
from predcnn.ops.spatial_attention import (
    GatedSpatialAttention,
    LargeKernelAttention,
    SpatialAttentionBlock,
)
from predcnn.registry import BLOCKS


def published_squeeze(dim: int) -> int:
    """Return the squeeze width of the reference code, dim // (dim // 16); the paper: dim // 16."""
    return max(dim // max(dim // 16, 4), 1)


class TemporalGate(LargeKernelAttention):
    """Large-kernel attention times a squeeze-and-excitation of its input, (B, C, H, W) is kept."""

    def __init__(self, dim: int, squeeze: int) -> None:
        super().__init__(dim)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(dim, squeeze, bias=False),
            nn.ReLU(),
            nn.Linear(squeeze, dim, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight = self.fc(self.pool(x).flatten(1))[..., None, None]  # (B, C, 1, 1)
        return super().forward(x) * weight


@BLOCKS.register("tau")
class TAUBlock(SpatialAttentionBlock):
    """One TAU block, (B, C, H, W) -> (B, C, H, W).

    As in the reference code, the attention keeps torch's default initial weights; the MLP is
    initialised as in gSTA.

    Args (others: see `predcnn.blocks.protocol`):
        squeeze: channels of the dynamical attention's bottleneck; None for `published_squeeze`.
        inner_shortcut: shortcut around the attention, inside its branch, as in the reference code.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        **SpatialAttentionBlock.openstl_keys,
        "attn.gate": "attn.spatial_gating_unit",
    }

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        squeeze: int | None = None,
        layer_scale: float = 1e-2,
        inner_shortcut: bool = True,
    ) -> None:
        gate = TemporalGate(dim, published_squeeze(dim) if squeeze is None else squeeze)
        attn = GatedSpatialAttention(dim, gate, shortcut=inner_shortcut)
        mlp = ConvMlp(dim, int(dim * mlp_ratio), depthwise=3)
        super().__init__(dim, attn, mlp, drop_path=drop_path, layer_scale=layer_scale)
        init_fan_out(self.mlp)
