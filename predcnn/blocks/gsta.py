"""gSTA: SimVP v2's gated spatiotemporal attention, a large kernel that gates itself.

Tan et al., "SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning", 2022,
https://arxiv.org/abs/2211.12509 (fig. 5). Compared with the reference code.
"""

from predcnn.ops.spatial_attention import LargeKernelBlock, SelfGatedLargeKernel
from predcnn.registry import BLOCKS


@BLOCKS.register("gsta")
class GSTABlock(LargeKernelBlock):
    """One gSTA block, (B, C, H, W) -> (B, C, H, W); options of `LargeKernelBlock`."""

    gate = SelfGatedLargeKernel
