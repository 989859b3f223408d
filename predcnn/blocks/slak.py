"""SLaK block: ConvNeXt with a depthwise kernel of 51x51 and more, decomposed into two strips.

Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023,
section 3. The block is dense; ``predcnn.training.callbacks.sparse_mask`` trains it sparsely.
"""

import torch
from torch import Tensor, nn

from predcnn.ops.drop_path import DropPath
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.large_kernel import DecomposedLargeKernelConv
from predcnn.registry import BLOCKS


@BLOCKS.register("slak")
class SLaKBlock(nn.Module):
    """One SLaK block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        kernel_size: long side of the strips, odd.
        band: short side of the strips, odd.
        small_kernel: side of the parallel square kernel, odd; None for none.
    """

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

    def merge_(self) -> None:
        """Merge the large kernel's branches into two strips, in place."""
        self.large_kernel.merge_()
