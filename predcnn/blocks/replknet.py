"""RepLKNet: a re-parameterised 31x31 depthwise block and a convolutional feed-forward block.

Ding et al., "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022,
figure 4 (c, d).
"""

from torch import Tensor, nn

from predcnn.ops import DepthwiseConv2d, DropPath, PointwiseConv2d, fold_norm_into_next
from predcnn.ops.reparam import ConvBN, absorb_, depthwise_bn
from predcnn.registry import BLOCKS


def _pointwise(dim: int, out: int) -> ConvBN:
    return ConvBN(PointwiseConv2d(dim, out, bias=False))


class ReparamLargeKernelConv(nn.Module):
    """k x k depthwise + BN, plus a parallel small kernel + BN, (B, C, H, W) is kept (section 3).

    Args:
        kernel_size: k, odd.
        small_kernel: size of the parallel kernel, odd, at most k; None for none.
    """

    def __init__(self, channels: int, kernel_size: int, small_kernel: int | None) -> None:
        super().__init__()
        if small_kernel is not None and small_kernel > kernel_size:
            raise ValueError(f"the small kernel ({small_kernel}) must fit into {kernel_size}")
        self.lkb_origin = depthwise_bn(channels, kernel_size)
        self.small_conv = None if small_kernel is None else depthwise_bn(channels, small_kernel)
        self.lkb_reparam: DepthwiseConv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.lkb_reparam is not None:
            return self.lkb_reparam(x)
        out = self.lkb_origin(x)
        return out if self.small_conv is None else out + self.small_conv(x)

    def merge_(self) -> None:
        """Merge both into one k x k depthwise convolution ``lkb_reparam``, in place."""
        if self.lkb_reparam is not None:
            return
        self.lkb_origin.merge_()
        if self.small_conv is not None:
            self.small_conv.merge_()
            absorb_(self.lkb_origin.conv, self.small_conv.conv)
            self.small_conv = None
        self.lkb_reparam = self.lkb_origin.conv
        del self.lkb_origin


class LargeKernelMixer(nn.Module):
    """RepLK block: BN, 1x1, ReLU, large depthwise kernel, ReLU, 1x1; (B, C, H, W) is kept."""

    def __init__(
        self, dim: int, kernel: int, small: int | None, dw_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        wide = int(dim * dw_ratio)
        self.prelkb_bn = nn.BatchNorm2d(dim)
        self.pw1 = _pointwise(dim, wide)
        self.large_kernel = ReparamLargeKernelConv(wide, kernel, small)
        self.pw2 = _pointwise(wide, dim)
        self.act = nn.ReLU()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.pw1(self.prelkb_bn(x)))
        return x + self.drop_path(self.pw2(self.act(self.large_kernel(y))))

    def merge_(self) -> None:
        """Merge into three convolutions, in place."""
        self.pw1.merge_()
        self.pw2.merge_()
        self.large_kernel.merge_()
        self.prelkb_bn = fold_norm_into_next(self.prelkb_bn, self.pw1.conv)


class ConvFeedForward(nn.Module):
    """RepLKNet's ConvFFN: BN, 1x1, GELU, 1x1; (B, C, H, W) is kept."""

    def __init__(self, dim: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.preffn_bn = nn.BatchNorm2d(dim)
        self.pw1 = _pointwise(dim, int(dim * mlp_ratio))
        self.pw2 = _pointwise(int(dim * mlp_ratio), dim)
        self.act = nn.GELU()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.pw2(self.act(self.pw1(self.preffn_bn(x)))))

    def merge_(self) -> None:
        """Merge into two convolutions, in place."""
        self.pw1.merge_()
        self.pw2.merge_()
        self.preffn_bn = fold_norm_into_next(self.preffn_bn, self.pw1.conv)


@BLOCKS.register("replknet")
class RepLKNetBlock(nn.Module):
    """One RepLK block and one ConvFFN, (B, C, H, W) -> (B, C, H, W).

    The published network alternates the two as separate entries of a stage.

    Args (others: see `predcnn.blocks.protocol` and `ReparamLargeKernelConv`):
        dw_ratio: channels of the depthwise part, in units of ``dim``.
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 31,
        small_kernel: int | None = 5,
        dw_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        self.mixer = LargeKernelMixer(dim, kernel_size, small_kernel, dw_ratio, drop_path)
        self.ffn = ConvFeedForward(dim, mlp_ratio, drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn(self.mixer(x))
