"""SLaK block: ConvNeXt with a depthwise kernel of 51x51 and more, decomposed into two strips.

Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023,
section 3. The block is dense; ``predcnn.training.callbacks.sparse_mask`` trains it sparsely.
"""

import torch
from torch import Tensor, nn

from predcnn.ops import DropPath, absorb_, depthwise_bn, init_trunc_normal
from predcnn.registry import BLOCKS


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
        self, channels: int, kernel_size: int, band: int, small_kernel: int | None
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


@BLOCKS.register("slak")
class SLaKBlock(nn.Module):
    """One SLaK block, (B, C, H, W) kept; options: see `DecomposedLargeKernelConv`."""

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 51,
        band: int = 5,
        small_kernel: int | None = 5,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        self.large_kernel = DecomposedLargeKernelConv(dim, kernel_size, band, small_kernel)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, int(dim * mlp_ratio))
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(int(dim * mlp_ratio), dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.large_kernel(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + self.drop_path(y.permute(0, 3, 1, 2))
