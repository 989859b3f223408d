"""Large-kernel spatial attention and the block around it, shared by VAN, gSTA and TAU.

Guo et al., "Visual Attention Network", 2022, https://arxiv.org/abs/2202.09741 (fig. 2-3, eq. 3).
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.drop_path import DropPath
from predcnn.ops.fold import fold_norm_into_next
from predcnn.ops.init import init_fan_out
from predcnn.ops.mlp import ConvMlp
from predcnn.ops.norm import LayerScale
from predcnn.ops.pointwise import PointwiseConv2d


class LargeKernelConv(nn.Module):
    """Depthwise 5x5, depthwise 7x7 dilated by 3, 1x1: (B, C, H, W) -> (B, out, H, W) (fig. 2)."""

    def __init__(self, dim: int, out: int | None = None) -> None:
        super().__init__()
        self.near = DepthwiseConv2d(dim, 5)
        self.far = DepthwiseConv2d(dim, 7, dilation=3)
        self.mix = PointwiseConv2d(dim, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.far(self.near(x)))


class LargeKernelAttention(LargeKernelConv):
    """The input times its `LargeKernelConv`, (B, C, H, W) -> (B, C, H, W) (eq. 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x)


class GatedSpatialAttention(nn.Module):
    """1x1 convolution, GELU, gate, 1x1 convolution, shortcut; (B, C, H, W) is kept (fig. 3d).

    The shortcut, inside the block's residual branch, is not in the figure but in the reference
    code. ``gate`` includes the multiplication.
    """

    def __init__(self, dim: int, gate: nn.Module, *, shortcut: bool = True) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.proj_in = PointwiseConv2d(dim, dim)
        self.act = nn.GELU()
        self.gate = gate
        self.proj_out = PointwiseConv2d(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.proj_out(self.gate(self.act(self.proj_in(x))))
        return x + y if self.shortcut else y


class SpatialAttentionBlock(nn.Module):
    """Two residual branches, spatial attention and MLP, (B, C, H, W) -> (B, C, H, W).

    Each branch begins with a BatchNorm and ends with a layer scale. ``attn`` has the attributes
    ``proj_in``, its first convolution, and ``shortcut``, whether it adds its input.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "scale1.gamma": "layer_scale_1",
        "scale2.gamma": "layer_scale_2",
        "attn.proj_in": "attn.proj_1",
        "attn.proj_out": "attn.proj_2",
        "attn.gate.near": "attn.spatial_gating_unit.conv0",
        "attn.gate.far": "attn.spatial_gating_unit.conv_spatial",
        "attn.gate.mix": "attn.spatial_gating_unit.conv1",
        "mlp.depthwise": "mlp.dwconv.dwconv",
    }

    def __init__(
        self, dim: int, attn: nn.Module, mlp: ConvMlp, *, drop_path: float, layer_scale: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = attn
        self.scale1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = mlp
        self.scale2 = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.scale1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))

    def merge_(self) -> None:
        """Fold the norms that are read only by a 1x1 convolution, in place."""
        self.norm2 = fold_norm_into_next(self.norm2, self.mlp.fc1)
        if not self.attn.shortcut:
            self.norm1 = fold_norm_into_next(self.norm1, self.attn.proj_in)


class LargeKernelBlock(SpatialAttentionBlock):
    """`SpatialAttentionBlock` with the ``gate`` of its subclass, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        inner_shortcut: shortcut around the attention, inside its branch, as in the reference code.
    """

    gate: ClassVar[type[LargeKernelConv]]

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
        attn = GatedSpatialAttention(dim, self.gate(dim), shortcut=inner_shortcut)
        mlp = ConvMlp(dim, int(dim * mlp_ratio), depthwise=3)
        super().__init__(dim, attn, mlp, drop_path=drop_path, layer_scale=layer_scale)
        init_fan_out(self)
