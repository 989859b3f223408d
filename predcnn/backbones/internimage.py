"""InternImage and FlashInternImage: stages of deformable convolutions v3 and v4.

Wang et al., "InternImage: Exploring Large-Scale Vision Foundation Models with Deformable
Convolutions", CVPR 2023, https://arxiv.org/abs/2211.05778 (fig. 3, table 1); Xiong et al.,
"Efficient Deformable ConvNets: Rethinking Dynamic and Sparse Operator for Vision Applications",
CVPR 2024, https://arxiv.org/abs/2401.06197 (sec. 3.3). Compared with the published code; the v4
operator with a reference implementation in PyTorch.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import ClassifierHead, conv_norm, conv_norm_twice, doubling
from predcnn.backbones.staged import StagedBackbone, presets
from predcnn.blocks.dcnv3 import DCNv3Block
from predcnn.blocks.dcnv4 import DCNv4Block
from predcnn.ops.norm import LayerNorm2d
from predcnn.ops.reparam import ConvBN

POST_NORM = {"post_norm": True, "layer_scale": 1e-5}
GROUP = 16  # channels of a group in all published sizes
HEAD_RATIO = 1.5


def _sizes(width: int, depths: tuple[int, ...], **options: object) -> dict[str, object]:
    """Preset whose stages double the width and the number of groups."""
    groups = doubling(width // GROUP)
    return {"dims": doubling(width), "depths": depths, "groups": groups, **options}


class DeformableNet(StagedBackbone):
    """Common parts of both families: stem, downsampling, norms between stages, head.

    Args (others: see `StagedBackbone` and the blocks):
        groups: channel groups of the sampling in each stage.
    """

    published_keys: ClassVar[dict[str, str]] = {
        "stem.0": "patch_embed.conv1",
        "stem.1": "patch_embed.norm1.1",
        "stem.3": "patch_embed.conv2",
        "stem.4": "patch_embed.norm2.1",
        "stages.{i}.blocks": "levels.{i}.blocks",
        "stages.{i}.norm": "levels.{i}.norm.0",
        "stages.{i}.down.0": "levels.{p}.downsample.conv",
        "stages.{i}.down.1": "levels.{p}.downsample.norm.1",
        "head.conv.0.conv": "conv_head.0",
        "head.conv.0.bn": "conv_head.1.0",
        "head.fc": "head",
    }

    per_stage: ClassVar[dict[str, str]] = {"groups": "groups"}
    per_network = ("dw_kernel_size", "offset_scale", "post_norm", "layer_scale", "remove_center")

    groups: Sequence[int]
    offset_scale: float = 1.0
    post_norm: bool = False
    layer_scale: float | None = None
    remove_center: bool = False

    def make_stem(self) -> nn.Module:
        return conv_norm_twice(self.in_chans, self.dims[0])

    def make_down(self, dim: int, out: int) -> nn.Module:
        return conv_norm(dim, out, bias=False)

    def make_stage_norm(self, dim: int) -> nn.Module:
        return nn.Identity() if self.post_norm else LayerNorm2d(dim)

    def make_head(self) -> ClassifierHead:
        wide = int(self.dims[-1] * HEAD_RATIO)
        conv = nn.Sequential(ConvBN(nn.Conv2d(self.dims[-1], wide, 1, bias=False)), nn.GELU())
        return ClassifierHead(wide, self.num_classes, conv=conv)


@presets(
    internimage_t=_sizes(64, (4, 4, 18, 4)),
    internimage_s=_sizes(80, (4, 4, 21, 4), **POST_NORM),
    internimage_b=_sizes(112, (4, 4, 21, 4), **POST_NORM),
    internimage_l=_sizes(160, (5, 5, 22, 5), offset_scale=2.0, **POST_NORM),
    internimage_xl=_sizes(192, (5, 5, 24, 5), offset_scale=2.0, **POST_NORM),
)
class InternImage(DeformableNet):
    """InternImage, images (B, in_chans, H, W) -> logits (B, num_classes)."""

    block = DCNv3Block
    per_network = (*DeformableNet.per_network, "center_feature_scale")

    center_feature_scale: bool = False
    dw_kernel_size: int = 3

    def make_stage_norm(self, dim: int) -> nn.Module:
        return LayerNorm2d(dim) if self.center_feature_scale else super().make_stage_norm(dim)


@presets(
    flashinternimage_t=_sizes(64, (4, 4, 18, 4)),
    flashinternimage_s=_sizes(80, (4, 4, 21, 4), dw_kernel_size=3, **POST_NORM),
    flashinternimage_b=_sizes(112, (4, 4, 21, 4), dw_kernel_size=3, offset_scale=0.5, **POST_NORM),
    flashinternimage_l=_sizes(
        160, (5, 5, 22, 5), dw_kernel_size=3, offset_scale=2.0, bias=True, **POST_NORM
    ),
)
class FlashInternImage(DeformableNet):
    """FlashInternImage, images (B, in_chans, H, W) -> logits (B, num_classes)."""

    block = DCNv4Block
    per_network = (*DeformableNet.per_network, "bias")

    dw_kernel_size: int | None = None
    bias: bool = False
