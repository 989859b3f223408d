"""RepLKNet: stages of 31 x 31 depthwise blocks that alternate with convolutional MLPs.

Ding et al., "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design in CNNs", CVPR 2022,
https://arxiv.org/abs/2203.06717 (fig. 4, table 5). Compared with the published code.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import doubling
from predcnn.backbones.staged import StagedBackbone, presets
from predcnn.blocks.replknet import ReparamLargeKernelConv, RepLKNetBlock
from predcnn.ops.reparam import ConvBN

BASE_KERNELS = (31, 29, 27, 13)
XL = {"large_kernel_sizes": (27, 27, 27, 13), "small_kernel": None, "dw_ratio": 1.5}


def _unit(dim: int, out: int, kernel_size: int = 1, *, stride: int = 1, groups: int = 1) -> list:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(dim, out, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return [ConvBN(conv), nn.ReLU()]


@presets(
    replknet_31b={"dims": doubling(128), "large_kernel_sizes": BASE_KERNELS},
    replknet_31l={"dims": doubling(192), "large_kernel_sizes": BASE_KERNELS},
    replknet_xl={"dims": doubling(256), **XL},
)
class RepLKNet(StagedBackbone):
    """RepLKNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone` and `RepLKNetBlock`):
        depths: blocks of each stage; a block is a large kernel and an MLP.
    """

    published_keys: ClassVar[dict[str, str]] = {
        **{f"stem.{2 * k}": f"stem.{k}" for k in range(4)},
        "stages.{i}.down.0": "transitions.{p}.0",
        "stages.{i}.down.2": "transitions.{p}.1",
        "norm": "norm",
        "head.fc": "head",
    }
    deployed: ClassVar[tuple[str, type]] = (".lkb_reparam.weight", ReparamLargeKernelConv)
    block = RepLKNetBlock
    per_stage: ClassVar[dict[str, str]] = {"large_kernel_sizes": "kernel_size"}
    per_network = ("small_kernel", "dw_ratio", "mlp_ratio")

    depths: Sequence[int] = (2, 2, 18, 2)
    large_kernel_sizes: Sequence[int]
    small_kernel: int | None = 5
    dw_ratio: float = 1.0
    mlp_ratio: float = 4.0

    def make_stem(self) -> nn.Sequential:
        dim = self.dims[0]
        return nn.Sequential(
            *_unit(self.in_chans, dim, 3, stride=2),
            *_unit(dim, dim, 3, groups=dim),
            *_unit(dim, dim),
            *_unit(dim, dim, 3, stride=2, groups=dim),
        )

    def make_down(self, dim: int, out: int) -> nn.Sequential:
        return nn.Sequential(*_unit(dim, out), *_unit(out, out, 3, stride=2, groups=out))

    def make_norm(self, dim: int) -> nn.Module:
        return nn.BatchNorm2d(dim)

    @property
    def openstl_keys(self) -> dict[str, str]:
        """Published names; the two halves of a block are two entries of a published stage."""
        names = super().openstl_keys
        for i, stage in enumerate(self.stages):
            for j in range(len(stage.blocks)):
                for k, part in enumerate(("mixer", "ffn")):
                    names[f"stages.{i}.blocks.{j}.{part}"] = f"stages.{i}.blocks.{2 * j + k}"
        return names
