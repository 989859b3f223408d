"""UniRepLKNet: 13 x 13 kernels with dilated branches, alternating with 3 x 3 kernels.

Ding et al., "UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video, Point
Cloud, Time-Series and Image Recognition", CVPR 2024,
https://arxiv.org/abs/2311.15599 (sec. 3.3, table 4). Compared with the published code.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import conv_norm, conv_norm_twice, doubling
from predcnn.backbones.staged import ConvNeXtLike, presets
from predcnn.blocks.unireplknet import UniRepLKNetBlock

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
class UniRepLKNet(ConvNeXtLike):
    """UniRepLKNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `ConvNeXtLike`):
        kernel_sizes: per stage the kernels of its blocks, repeated if shorter; 3 is a plain
            convolution, 13 has dilated branches.
    """

    block = UniRepLKNetBlock
    per_stage: ClassVar[dict[str, str]] = {"kernel_sizes": "kernel_size"}
    per_network = ("layer_scale",)
    deployed: ClassVar[tuple[str, type]] = (".pwconv2.0.bias", UniRepLKNetBlock)

    kernel_sizes: Sequence[Sequence[int]] = ALL_LARGE

    def make_stem(self) -> nn.Module:
        return conv_norm_twice(self.in_chans, self.dims[0])

    def make_down(self, dim: int, out: int) -> nn.Module:
        return conv_norm(dim, out)

    def make_block(self, i: int, j: int, drop_path: float, **own: object) -> nn.Module:
        kernels = self.kernel_sizes[i]
        return super().make_block(i, j, drop_path, kernel_size=kernels[j % len(kernels)])
