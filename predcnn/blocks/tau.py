"""TAU: static attention within the maps times dynamical attention over the channels (the frames).

Tan et al., "Temporal Attention Unit: Towards Efficient Spatiotemporal Predictive Learning", CVPR
2023, https://arxiv.org/abs/2206.12126 (fig. 3, eq. 3-5). Compared with the published code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.blocks.gsta import SPATIAL_ATTENTION_KEYS
from predcnn.ops.attention import GatedSpatialAttention
from predcnn.ops.conv import LargeKernelAttention
from predcnn.ops.drop_path import DropPath
from predcnn.ops.fold import fold_norm_into_next
from predcnn.ops.init import init_fan_out
from predcnn.ops.mlp import ConvMlp
from predcnn.ops.norm import LayerScale
from predcnn.registry import BLOCKS


def published_squeeze(dim: int) -> int:
    """Width of TAU's squeeze in the published code: 16 for every multiple of 16 from 64 up.

    The paper speaks of a reduction by 16; the code divides by dim // 16 and so gets about 16
    channels whatever the width.
    """
    return max(dim // max(dim // 16, 4), 1)


class TemporalGate(LargeKernelAttention):
    """Large-kernel attention times a squeeze-and-excitation of its input, (B, C, H, W) kept.

    Args:
        dim: channels C, which hold the frames.
        squeeze: channels of the bottleneck.
    """

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
class TAUBlock(nn.Module):
    """One TAU block, (B, C, H, W) -> (B, C, H, W).

    As published, the attention keeps torch's default initial weights (it replaces another after the
    block was initialised); the feed-forward part is initialised like gSTA's.

    Args:
        dim: channels C.
        mlp_ratio: hidden channels of the feed-forward part, in units of ``dim``.
        drop_path: probability of skipping a residual branch of a sample.
        resolution: (H, W) of the input; not used, the block is fully convolutional.
        squeeze: channels of the dynamical attention's bottleneck; `published_squeeze` if None.
        layer_scale: initial factor of both residual branches.
        inner_shortcut: the published code's shortcut around the attention, inside its branch.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        **SPATIAL_ATTENTION_KEYS,
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
        super().__init__()
        gate = TemporalGate(dim, published_squeeze(dim) if squeeze is None else squeeze)
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = GatedSpatialAttention(dim, gate, shortcut=inner_shortcut)
        self.scale1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio), depthwise=3)
        self.scale2 = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        init_fan_out(self.mlp)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.scale1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))

    def merge_(self) -> None:
        """Fold the norms that only a 1x1 convolution reads, in place."""
        self.norm2 = fold_norm_into_next(self.norm2, self.mlp.fc1)
        if not self.attn.shortcut:
            self.norm1 = fold_norm_into_next(self.norm1, self.attn.proj_in)
