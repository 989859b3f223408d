"""InternImage and FlashInternImage: stages of deformable convolutions v3 and v4.

Wang et al., "InternImage: Exploring Large-Scale Vision Foundation Models with Deformable
Convolutions", CVPR 2023, https://arxiv.org/abs/2211.05778 (fig. 3, table 1); Xiong et al.,
"Efficient Deformable ConvNets: Rethinking Dynamic and Sparse Operator for Vision Applications",
CVPR 2024, https://arxiv.org/abs/2401.06197 (sec. 3.3). Compared with the published code, the v4
operator with its reading in plain PyTorch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.staged import (
    ClassifierHead,
    StagedBackbone,
    doubling,
    make_stages,
    presets,
)
from predcnn.backbones.stems import conv_norm, conv_norm_twice
from predcnn.blocks.dcnv3 import DCNv3Block
from predcnn.blocks.dcnv4 import DCNv4Block
from predcnn.ops.norm import LayerNorm2d
from predcnn.ops.reparam import ConvBN

POST_NORM = {"post_norm": True, "layer_scale": 1e-5}
GROUP = 16  # channels of a group in all published sizes
HEAD_RATIO = 1.5


def _sizes(width: int, depths: tuple[int, ...], **options: object) -> dict[str, object]:
    """A preset whose stages double the width and the number of groups."""
    groups = doubling(width // GROUP)
    return {"dims": doubling(width), "depths": depths, "groups": groups, **options}


class DeformableNet(StagedBackbone):
    """The common parts of both families: stem, downsampling, norms between stages, head.

    Args:
        block: (channels, *, drop_path, groups) -> block.
        dims, depths, num_classes, in_chans, drop_path_rate: see `StagedBackbone`.
        groups: channel groups of the sampling in each stage.
        stage_norm: whether a layer norm closes every stage.
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

    def __init__(
        self,
        block: Callable[..., nn.Module],
        dims: Sequence[int],
        depths: Sequence[int],
        *,
        num_classes: int,
        in_chans: int,
        drop_path_rate: float,
        groups: Sequence[int],
        stage_norm: bool,
    ) -> None:
        stages = make_stages(
            dims,
            depths,
            drop_path_rate,
            block=lambda i, j, rate: block(dims[i], drop_path=rate, groups=groups[i]),
            down=lambda dim, out: conv_norm(dim, out, bias=False),
            norm=LayerNorm2d if stage_norm else lambda dim: nn.Identity(),
            per_stage={"groups": groups},
        )
        wide = int(dims[-1] * HEAD_RATIO)
        conv = nn.Sequential(ConvBN(nn.Conv2d(dims[-1], wide, 1, bias=False)), nn.GELU())
        head = ClassifierHead(wide, num_classes, conv=conv)
        super().__init__(conv_norm_twice(in_chans, dims[0]), stages, head)


@presets(
    internimage_t=_sizes(64, (4, 4, 18, 4)),
    internimage_s=_sizes(80, (4, 4, 21, 4), **POST_NORM),
    internimage_b=_sizes(112, (4, 4, 21, 4), **POST_NORM),
    internimage_l=_sizes(160, (5, 5, 22, 5), offset_scale=2.0, **POST_NORM),
    internimage_xl=_sizes(192, (5, 5, 24, 5), offset_scale=2.0, **POST_NORM),
)
class InternImage(DeformableNet):
    """InternImage, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        groups: channel groups of the sampling in each stage.
        offset_scale: factor on taps and offsets.
        post_norm: normalise the branches' results, not their inputs.
        layer_scale: initial factor of the residual branches; None for none.
        center_feature_scale: mix the projected input back in by a gate.
        dw_kernel_size: of the depthwise convolution before the offsets.
        remove_center: leave out the middle tap.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        dims: Sequence[int],
        depths: Sequence[int],
        groups: Sequence[int],
        offset_scale: float = 1.0,
        post_norm: bool = False,
        layer_scale: float | None = None,
        center_feature_scale: bool = False,
        dw_kernel_size: int = 3,
        remove_center: bool = False,
    ) -> None:
        block = functools.partial(
            DCNv3Block,
            offset_scale=offset_scale,
            post_norm=post_norm,
            layer_scale=layer_scale,
            center_feature_scale=center_feature_scale,
            dw_kernel_size=dw_kernel_size,
            remove_center=remove_center,
        )
        super().__init__(
            block,
            dims,
            depths,
            num_classes=num_classes,
            in_chans=in_chans,
            drop_path_rate=drop_path_rate,
            groups=groups,
            stage_norm=not post_norm or center_feature_scale,
        )


@presets(
    flashinternimage_t=_sizes(64, (4, 4, 18, 4)),
    flashinternimage_s=_sizes(80, (4, 4, 21, 4), dw_kernel_size=3, **POST_NORM),
    flashinternimage_b=_sizes(112, (4, 4, 21, 4), dw_kernel_size=3, offset_scale=0.5, **POST_NORM),
    flashinternimage_l=_sizes(
        160, (5, 5, 22, 5), dw_kernel_size=3, offset_scale=2.0, bias=True, **POST_NORM
    ),
)
class FlashInternImage(DeformableNet):
    """FlashInternImage, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        groups: channel groups of the sampling in each stage.
        offset_scale: factor on taps and offsets.
        post_norm: normalise the branches' results, not their inputs.
        layer_scale: initial factor of the residual branches; None for none.
        dw_kernel_size: of a depthwise convolution before offsets and weights; None for none.
        remove_center: leave out the middle tap.
        bias: biases of the output projections and of the MLPs' second layers.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        dims: Sequence[int],
        depths: Sequence[int],
        groups: Sequence[int],
        offset_scale: float = 1.0,
        post_norm: bool = False,
        layer_scale: float | None = None,
        dw_kernel_size: int | None = None,
        remove_center: bool = False,
        bias: bool = False,
    ) -> None:
        block = functools.partial(
            DCNv4Block,
            offset_scale=offset_scale,
            post_norm=post_norm,
            layer_scale=layer_scale,
            dw_kernel_size=dw_kernel_size,
            remove_center=remove_center,
            bias=bias,
        )
        super().__init__(
            block,
            dims,
            depths,
            num_classes=num_classes,
            in_chans=in_chans,
            drop_path_rate=drop_path_rate,
            groups=groups,
            stage_norm=not post_norm,
        )
