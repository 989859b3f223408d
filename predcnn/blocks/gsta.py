"""gSTA: SimVP v2's gated spatiotemporal attention, a large kernel that gates itself.

Tan et al., "SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning", 2022,
https://arxiv.org/abs/2211.12509 (fig. 5). Compared with the reference code.
"""

import torch
from torch import Tensor

from predcnn.ops.spatial_attention import LargeKernelBlock, LargeKernelConv
from predcnn.registry import BLOCKS


class SelfGatedLargeKernel(LargeKernelConv):
    """Values times their sigmoid gate, both from one `LargeKernelConv`; (B, C, H, W) is kept."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = super().forward(x).chunk(2, dim=1)
        return torch.sigmoid(gate) * value


@BLOCKS.register("gsta")
class GSTABlock(LargeKernelBlock):
    """One gSTA block, (B, C, H, W) -> (B, C, H, W); options of `LargeKernelBlock`."""

    gate = SelfGatedLargeKernel
