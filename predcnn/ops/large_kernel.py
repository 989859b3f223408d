"""Large depthwise convolutions trained as sums of branches and merged into one for inference.

Parallel small kernel: Ding et al., "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel
Design in CNNs", CVPR 2022, section 3. Dilated branches: Ding et al., "UniRepLKNet: A Universal
Perception Large-Kernel ConvNet", CVPR 2024, section 3.1. Two strips: Liu et al., "More ConvNets in
the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023, section 3.2.
"""

from torch import Tensor, nn

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.fold import fold_norm_into_previous
from predcnn.ops.reparam import ConvBN, absorb_

# kernel -> (kernel, dilation) of the parallel branches, as in the reference code
DILATED_BRANCHES = {
    5: ((3, 1), (3, 2)),
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}


def depthwise_bn(channels: int, kernel_size: int | tuple[int, int]) -> ConvBN:
    """Depthwise convolution + BatchNorm."""
    return ConvBN(DepthwiseConv2d(channels, kernel_size, bias=False))


class ReparamLargeKernelConv(nn.Module):
    """k x k depthwise + BN, plus a parallel small kernel + BN, (B, C, H, W) -> (B, C, H, W).

    Args:
        kernel_size: k, odd.
        small_kernel: size of the parallel kernel, odd, at most k; None for none.
    """

    def __init__(self, channels: int, kernel_size: int, small_kernel: int | None = 5) -> None:
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


class DilatedReparamConv(nn.Module):
    """k x k depthwise + BN, plus parallel small dilated kernels + BN, (B, C, H, W) is kept.

    Args:
        kernel_size: k, one of `DILATED_BRANCHES`.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size not in DILATED_BRANCHES:
            listed = ", ".join(map(str, DILATED_BRANCHES))
            raise ValueError(f"no dilated branches for kernel {kernel_size}; accepted: {listed}")
        self.branches = DILATED_BRANCHES[kernel_size]
        self.lk_origin = DepthwiseConv2d(channels, kernel_size, bias=False)
        self.origin_bn = nn.BatchNorm2d(channels)
        for kernel, rate in self.branches:
            conv = DepthwiseConv2d(channels, kernel, dilation=rate, bias=False)
            self.add_module(f"dil_conv_k{kernel}_{rate}", conv)
            self.add_module(f"dil_bn_k{kernel}_{rate}", nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.lk_origin.bias is not None:
            return self.lk_origin(x)
        out = self.origin_bn(self.lk_origin(x))
        for kernel, rate in self.branches:
            conv = getattr(self, f"dil_conv_k{kernel}_{rate}")
            out = out + getattr(self, f"dil_bn_k{kernel}_{rate}")(conv(x))
        return out

    def merge_(self) -> None:
        """Merge all into one k x k depthwise convolution ``lk_origin`` with a bias, in place."""
        if self.lk_origin.bias is not None:
            return
        fold_norm_into_previous(self.lk_origin, self.origin_bn)
        del self.origin_bn
        for kernel, rate in self.branches:
            conv_name, norm_name = f"dil_conv_k{kernel}_{rate}", f"dil_bn_k{kernel}_{rate}"
            conv = getattr(self, conv_name)
            fold_norm_into_previous(conv, getattr(self, norm_name))
            absorb_(self.lk_origin, conv)
            delattr(self, conv_name)
            delattr(self, norm_name)


class DecomposedLargeKernelConv(nn.Module):
    """Sum of k x b and b x k depthwise strips and a small square, each with BN.

    (B, C, H, W) -> (B, C, H, W). Merging keeps both strips: one k x k kernel would have the same
    output at k / 2b times the multiply-adds.

    Args:
        kernel_size: k, odd.
        band: width b of the strips, odd.
        small_kernel: size of the square kernel, odd, at most b; None for none.
    """

    def __init__(
        self, channels: int, kernel_size: int, band: int = 5, small_kernel: int | None = 5
    ) -> None:
        super().__init__()
        if small_kernel is not None and small_kernel > min(band, kernel_size):
            raise ValueError(f"the square ({small_kernel}) must fit into the strip ({band})")
        self.LoRA1 = depthwise_bn(channels, (kernel_size, band))
        self.LoRA2 = depthwise_bn(channels, (band, kernel_size))
        self.small_conv = None if small_kernel is None else depthwise_bn(channels, small_kernel)

    def forward(self, x: Tensor) -> Tensor:
        out = self.LoRA1(x) + self.LoRA2(x)
        return out if self.small_conv is None else out + self.small_conv(x)

    def merge_(self) -> None:
        """Merge all into the two strips, in place."""
        self.LoRA1.merge_()
        self.LoRA2.merge_()
        if self.small_conv is not None:
            self.small_conv.merge_()
            absorb_(self.LoRA1.conv, self.small_conv.conv)
            self.small_conv = None
