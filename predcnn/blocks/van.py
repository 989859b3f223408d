"""VAN: large-kernel attention from cheap depthwise convolutions.

Guo et al., "Visual Attention Network", 2022, https://arxiv.org/abs/2202.09741 (fig. 2, eq. 3).
Compared with the reference code.
"""

from predcnn.ops.spatial_attention import LargeKernelAttention, LargeKernelBlock
from predcnn.registry import BLOCKS


@BLOCKS.register("van")
class VANBlock(LargeKernelBlock):
    """One VAN block, (B, C, H, W) -> (B, C, H, W); options of `LargeKernelBlock`."""

    gate = LargeKernelAttention
