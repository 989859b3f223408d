"""SLaK: ConvNeXt's skeleton with decomposed kernels of up to 51 x 51, 1.3 times as wide, dense.

Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", ICLR 2023,
https://arxiv.org/abs/2207.03620 (sec. 4). The published parameter counts are those of the non-zero
weights at a sparsity of 0.4; the training that makes them is
``predcnn.training.callbacks.sparse_mask``. Compared with the published code.
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
from predcnn.blocks.slak import SLaKBlock
from predcnn.ops.init import init_trunc_normal


@presets(
    slak_tiny={"dims": doubling(96), "depths": (3, 3, 9, 3)},
    slak_small={"dims": doubling(96), "depths": (3, 3, 27, 3)},
    slak_base={"dims": doubling(128), "depths": (3, 3, 27, 3)},
)
class SLaK(StagedBackbone):
    """SLaK, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        dims: channels of each stage before they are widened.
        width_factor: of all ``dims``.
        large_kernel_sizes: long side of the strips in each stage, odd.
        band: short side of the strips, odd.
        small_kernel: side of the parallel square kernel, odd; None for none.
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
        depths: Sequence[int],
        width_factor: float = 1.3,
        large_kernel_sizes: Sequence[int] = (51, 49, 47, 13),
        band: int = 5,
        small_kernel: int | None = 5,
        layer_scale: float = 1e-6,
    ) -> None:
        dims = [int(dim * width_factor) for dim in dims]
        stages = make_stages(
            dims,
            depths,
            drop_path_rate,
            block=lambda i, j, rate: SLaKBlock(
                dims[i],
                drop_path=rate,
                kernel_size=large_kernel_sizes[i],
                band=band,
                small_kernel=small_kernel,
                layer_scale=layer_scale,
            ),
            down=norm_patches,
            per_stage={"large_kernel_sizes": large_kernel_sizes},
        )
        head = ClassifierHead(dims[-1], num_classes, norm=nn.LayerNorm(dims[-1], eps=1e-6))
        super().__init__(patches(in_chans, dims[0], 4), stages, head)
        init_trunc_normal(self)
