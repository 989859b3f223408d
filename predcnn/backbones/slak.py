"""SLaK: ConvNeXt's skeleton with decomposed kernels of up to 51 x 51, 1.3 times as wide, dense.

Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023,
https://arxiv.org/abs/2207.03620 (sec. 4). The published parameter counts are of the non-zero
weights at a sparsity of 0.4, see ``predcnn.training.callbacks.sparse_mask``. Compared with the
published code.
"""

from collections.abc import Sequence
from typing import ClassVar

from predcnn.backbones.parts import doubling
from predcnn.backbones.staged import ConvNeXtLike, presets
from predcnn.blocks.slak import SLaKBlock


@presets(
    slak_tiny={"dims": doubling(96), "depths": (3, 3, 9, 3)},
    slak_small={"dims": doubling(96), "depths": (3, 3, 27, 3)},
    slak_base={"dims": doubling(128), "depths": (3, 3, 27, 3)},
)
class SLaK(ConvNeXtLike):
    """SLaK, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `ConvNeXtLike` and `SLaKBlock`):
        width_factor: multiplies ``dims``.
        large_kernel_sizes: long side of the strips in each stage, odd.
    """

    block = SLaKBlock
    per_stage: ClassVar[dict[str, str]] = {"large_kernel_sizes": "kernel_size"}
    per_network = ("band", "small_kernel", "layer_scale")

    width_factor: float = 1.3
    large_kernel_sizes: Sequence[int] = (51, 49, 47, 13)
    band: int = 5
    small_kernel: int | None = 5

    def __post_init__(self) -> None:
        self.dims = [int(dim * self.width_factor) for dim in self.dims]
        super().__post_init__()
