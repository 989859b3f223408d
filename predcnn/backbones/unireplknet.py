"""UniRepLKNet: 13 x 13 kernels with dilated branches, among them plain 3 x 3 ones.

Ding et al., "UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video, Point
Cloud, Time-Series and Image Recognition", CVPR 2024,
https://arxiv.org/abs/2311.15599 (sec. 3.3, table 4). Compared with the published code.
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
from predcnn.backbones.stems import conv_norm, conv_norm_twice
from predcnn.blocks.unireplknet import UniRepLKNetBlock
from predcnn.ops.init import init_trunc_normal

ALL_LARGE = ((3,), (13,), (13,), (13,))
EVERY_SECOND = ((3,), (13,), (13, 3), (13,))
EVERY_THIRD = ((3,), (13,), (13, 3, 3), (13,))


@presets(
    unireplknet_a={"dims": doubling(40), "depths": (2, 2, 6, 2), "kernel_sizes": ALL_LARGE},
    unireplknet_f={"dims": doubling(48), "depths": (2, 2, 6, 2), "kernel_sizes": ALL_LARGE},
    unireplknet_p={"dims": doubling(64), "depths": (2, 2, 6, 2), "kernel_sizes": ALL_LARGE},
    unireplknet_n={"dims": doubling(80), "depths": (2, 2, 8, 2), "kernel_sizes": ALL_LARGE},
    unireplknet_t={"dims": doubling(80), "depths": (3, 3, 18, 3), "kernel_sizes": EVERY_SECOND},
    unireplknet_s={"dims": doubling(96), "depths": (3, 3, 27, 3), "kernel_sizes": EVERY_THIRD},
    unireplknet_b={"dims": doubling(128), "depths": (3, 3, 27, 3), "kernel_sizes": EVERY_THIRD},
    unireplknet_l={"dims": doubling(192), "depths": (3, 3, 27, 3), "kernel_sizes": EVERY_THIRD},
    unireplknet_xl={"dims": doubling(256), "depths": (3, 3, 27, 3), "kernel_sizes": EVERY_THIRD},
)
class UniRepLKNet(StagedBackbone):
    """UniRepLKNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        kernel_sizes: per stage the kernels of its blocks, or a shorter pattern that repeats; 3 is a
            plain convolution, 13 has dilated branches.
        layer_scale: initial factor of the residual branches.
    """

    published_keys: ClassVar[dict[str, str]] = CONVNEXT_KEYS
    deployed: ClassVar[tuple[str, type]] = (".pwconv2.0.bias", UniRepLKNetBlock)

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        dims: Sequence[int],
        depths: Sequence[int],
        kernel_sizes: Sequence[Sequence[int]] = ALL_LARGE,
        layer_scale: float = 1e-6,
    ) -> None:
        stages = make_stages(
            dims,
            depths,
            drop_path_rate,
            block=lambda i, j, rate: UniRepLKNetBlock(
                dims[i],
                drop_path=rate,
                kernel_size=kernel_sizes[i][j % len(kernel_sizes[i])],
                layer_scale=layer_scale,
            ),
            down=conv_norm,
            per_stage={"kernel_sizes": kernel_sizes},
        )
        head = ClassifierHead(dims[-1], num_classes, norm=nn.LayerNorm(dims[-1], eps=1e-6))
        super().__init__(conv_norm_twice(in_chans, dims[0]), stages, head)
        init_trunc_normal(self)
