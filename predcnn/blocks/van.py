"""VAN: large-kernel attention from cheap depthwise convolutions.

Guo et al., "Visual Attention Network", 2022, https://arxiv.org/abs/2202.09741 (fig. 2, eq. 3).
Compared with the published code.
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


@BLOCKS.register("van")
class VANBlock(nn.Module):
    """One VAN block, (B, C, H, W) -> (B, C, H, W).

    Args:
        dim: channels C.
        mlp_ratio: hidden channels of the feed-forward part, in units of ``dim``.
        drop_path: probability of skipping a residual branch of a sample.
        resolution: (H, W) of the input; not used, the block is fully convolutional.
        layer_scale: initial factor of both residual branches.
        inner_shortcut: the published code's shortcut around the attention, inside its branch.
    """

    openstl_keys: ClassVar[dict[str, str]] = SPATIAL_ATTENTION_KEYS

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        layer_scale: float = 1e-2,
        inner_shortcut: bool = True,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = GatedSpatialAttention(dim, LargeKernelAttention(dim), shortcut=inner_shortcut)
        self.scale1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio), depthwise=3)
        self.scale2 = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.scale1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))

    def merge_(self) -> None:
        """Fold the norms that only a 1x1 convolution reads, in place."""
        self.norm2 = fold_norm_into_next(self.norm2, self.mlp.fc1)
        if not self.attn.shortcut:
            self.norm1 = fold_norm_into_next(self.norm1, self.attn.proj_in)
