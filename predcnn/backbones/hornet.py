"""HorNet: ConvNeXt's skeleton with recursive gated convolutions of order 2 to 5.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, https://arxiv.org/abs/2207.14284 (sec. 3.2, table 1). Compared with the published
code.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.staged import (
    CONVNEXT_KEYS,
    ClassifierHead,
    StagedBackbone,
    doubling,
    make_stages,
    presets,
)
from predcnn.backbones.stems import norm_patches, patches
from predcnn.blocks.hornet import HorBlock
from predcnn.ops.init import init_trunc_normal

SEVEN = (None, None, None, None)
SPECTRA = (None, None, (14, 8), (7, 4))
"""Half spectra of the last two stages' maps of a 224 x 224 image; resized for others."""


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
class HorNet(StagedBackbone):
    """HorNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        dims: channels of each stage, divisible by 2 ** (order - 1).
        orders: of the interactions in each stage.
        scale: of the depthwise features.
        global_filters: per stage the spectrum (rows, columns) of a global filter, or None for the
            7 x 7 depthwise convolution.
        layer_scale: initial factor of the residual branches.
    """

    published_keys: ClassVar[dict[str, str]] = CONVNEXT_KEYS

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        dims: Sequence[int],
        depths: Sequence[int] = (2, 3, 18, 2),
        orders: Sequence[int] = (2, 3, 4, 5),
        scale: float = 1 / 3,
        global_filters: Sequence[tuple[int, int] | None] = SEVEN,
        layer_scale: float = 1e-6,
    ) -> None:
        stages = make_stages(
            dims,
            depths,
            drop_path_rate,
            block=lambda i, j, rate: HorBlock(
                dims[i],
                drop_path=rate,
                order=orders[i],
                scale=scale,
                layer_scale=layer_scale,
                global_filter=global_filters[i],
            ),
            down=norm_patches,
            per_stage={"orders": orders, "global_filters": global_filters},
        )
        head = ClassifierHead(dims[-1], num_classes, norm=nn.LayerNorm(dims[-1], eps=1e-6))
        super().__init__(patches(in_chans, dims[0], 4), stages, head)
        init_trunc_normal(self)
