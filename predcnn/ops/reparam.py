"""Re-parameterisation: kernels trained in parallel and merged into one for inference.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, section 3.3.
"""

import torch
from torch import Tensor, nn

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.fold import fold_norm_into_previous


@torch.no_grad()
def absorb_(conv: nn.Conv2d, other: nn.Conv2d) -> None:
    """Add the smaller parallel convolution ``other``, possibly dilated, to ``conv``, in place.

    Both keep H and W, have odd kernels, a bias, and the same channels and groups.
    """
    rate = other.dilation[0]
    rows, columns = (
        slice((large - rate * (small - 1) - 1) // 2, (large + rate * (small - 1) + 1) // 2, rate)
        for large, small in zip(conv.kernel_size, other.kernel_size, strict=True)
    )
    conv.weight[..., rows, columns] += other.weight
    conv.bias += other.bias


class ConvBN(nn.Module):
    """Convolution and BatchNorm, (B, C, H, W) -> (B, C', H, W); `merge_` makes them one."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))

    def merge_(self) -> None:
        """Fold the norm into the convolution, in place; a second call changes nothing."""
        self.bn = fold_norm_into_previous(self.conv, self.bn)


def depthwise_bn(channels: int, kernel_size: int | tuple[int, int]) -> ConvBN:
    """Build a depthwise convolution without bias, and BatchNorm."""
    return ConvBN(DepthwiseConv2d(channels, kernel_size, bias=False))
