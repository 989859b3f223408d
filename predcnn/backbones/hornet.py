"""HorNet: ConvNeXt's skeleton with recursive gated convolutions of order 2 to 5.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, https://arxiv.org/abs/2207.14284 (sec. 3.2, table 1). Compared with the published
code.
"""

from collections.abc import Sequence
from typing import ClassVar

from predcnn.backbones.parts import doubling
from predcnn.backbones.staged import ConvNeXtLike, presets
from predcnn.blocks.hornet import HorBlock

SEVEN = (None, None, None, None)
SPECTRA = (None, None, (14, 8), (7, 4))
"""Half spectra of the maps of the last two stages for 224 x 224 images; resized for others."""


@presets(
    hornet_tiny_7x7={"dims": doubling(64), "global_filters": SEVEN},
    hornet_tiny_gf={"dims": doubling(64), "global_filters": SPECTRA},
    hornet_small_7x7={"dims": doubling(96), "global_filters": SEVEN},
    hornet_small_gf={"dims": doubling(96), "global_filters": SPECTRA},
    hornet_base_7x7={"dims": doubling(128), "global_filters": SEVEN},
    hornet_base_gf={"dims": doubling(128), "global_filters": SPECTRA},
    hornet_large_7x7={"dims": doubling(192), "global_filters": SEVEN},
    hornet_large_gf={"dims": doubling(192), "global_filters": SPECTRA},
)
class HorNet(ConvNeXtLike):
    """HorNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `ConvNeXtLike` and `HorBlock`):
        dims: channels of each stage, divisible by 2 ** (order - 1).
        orders: of the interactions in each stage.
        global_filters: per stage the spectrum (rows, columns) of a global filter, or None for the
            7 x 7 depthwise convolution.
    """

    block = HorBlock
    per_stage: ClassVar[dict[str, str]] = {"orders": "order", "global_filters": "global_filter"}
    per_network = ("scale", "layer_scale")

    depths: Sequence[int] = (2, 3, 18, 2)
    orders: Sequence[int] = (2, 3, 4, 5)
    scale: float = 1 / 3
    global_filters: Sequence[tuple[int, int] | None] = SEVEN
