"""Re-parameterisation: kernels trained apart and merged into one for inference.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, section 3.3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.fold import fold_norm_into_previous


def center_pad(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Zeros around kernels (..., h, w) up to ``size``, the centre kept; sizes odd."""
    high, wide = (size[0] - kernel.shape[-2]) // 2, (size[1] - kernel.shape[-1]) // 2
    return functional.pad(kernel, (wide, wide, high, high))


def dilate(kernel: Tensor, rate: int) -> Tensor:
    """The dense kernel that acts like ``kernel`` (..., h, w) with the given dilation."""
    if rate == 1:
        return kernel
    *lead, high, wide = kernel.shape
    dense = kernel.new_zeros(*lead, (high - 1) * rate + 1, (wide - 1) * rate + 1)
    dense[..., ::rate, ::rate] = kernel
    return dense


@torch.no_grad()
def absorb_(conv: nn.Conv2d, other: nn.Conv2d) -> None:
    """Add the smaller parallel convolution ``other``, possibly dilated, to ``conv``, in place.

    Both keep H and W, have a bias, and the same channels and groups.
    """
    conv.weight.add_(center_pad(dilate(other.weight, other.dilation[0]), conv.kernel_size))
    conv.bias.add_(other.bias)


class ConvBN(nn.Module):
    """A convolution and its BatchNorm, (B, C, H, W) -> (B, C', H, W); `merge_` makes it one."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))

    def merge_(self) -> None:
        """Fold the norm into the convolution, in place; a second call changes nothing."""
        self.bn = fold_norm_into_previous(self.conv, self.bn)
