"""UniFormer: convolutional stages first, then stages of self-attention.

Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual Recognition", 2022,
https://arxiv.org/abs/2201.09450 (fig. 3, table 1). Compared with the published code.
"""

from collections.abc import Sequence

from torch import nn

from predcnn.backbones.staged import ClassifierHead, StagedBackbone, make_stages, presets
from predcnn.backbones.stems import patch_embed, patch_embed_twice, patches
from predcnn.blocks.uniformer import UniFormerBlock
from predcnn.ops.init import CONVOLUTIONS

LOCAL_STAGES = 2
SHARED_KEYS = {"stages.{i}.blocks": "blocks{n}", "norm": "norm", "head.fc": "head"}
PATCH_KEYS = {
    "stem.0": "patch_embed1.proj",
    "stem.1": "patch_embed1.norm",
    "stages.{i}.down.0": "patch_embed{n}.proj",
    "stages.{i}.down.1": "patch_embed{n}.norm",
}
OVERLAP_KEYS = {
    "stem.0.conv": "patch_embed1.proj.0",
    "stem.0.bn": "patch_embed1.proj.1",
    "stem.2.conv": "patch_embed1.proj.3",
    "stem.2.bn": "patch_embed1.proj.4",
    "stages.{i}.down.conv": "patch_embed{n}.proj.0",
    "stages.{i}.down.bn": "patch_embed{n}.proj.1",
}


def _overlapping(dim: int, out: int) -> nn.Module:
    return patch_embed(dim, out, 3, 2)


def _apart(dim: int, out: int, stride: int = 2) -> nn.Module:
    return patches(dim, out, stride, eps=1e-5)


@presets(
    uniformer_small={"depths": (3, 4, 8, 3)},
    uniformer_small_plus={"depths": (3, 5, 9, 3), "overlap": True, "head_dim": 32},
    uniformer_base={"depths": (5, 8, 20, 7)},
)
class UniFormer(StagedBackbone):
    """UniFormer for images, (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        head_dim: channels of one head of the self-attention.
        overlap: stem and downsampling by strided 3 x 3 convolutions.
        layer_scale: initial factor of both branches of the self-attention blocks; None for none.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        dims: Sequence[int] = (64, 128, 320, 512),
        depths: Sequence[int],
        head_dim: int = 64,
        overlap: bool = False,
        layer_scale: float | None = None,
    ) -> None:
        if any(dim % head_dim for dim in dims[LOCAL_STAGES:]):
            raise ValueError(
                f"heads of {head_dim} channels do not divide the stages with self-attention, "
                f"{tuple(dims[LOCAL_STAGES:])} wide"
            )
        stages = make_stages(
            dims,
            depths,
            drop_path_rate,
            block=lambda i, j, rate: UniFormerBlock(
                dims[i],
                drop_path=rate,
                local=i < LOCAL_STAGES,
                heads=dims[i] // head_dim,
                layer_scale=layer_scale,
                norm_eps=1e-6,
            ),
            down=_overlapping if overlap else _apart,
        )
        stem = patch_embed_twice(in_chans, dims[0]) if overlap else _apart(in_chans, dims[0], 4)
        head = ClassifierHead(dims[-1], num_classes)
        super().__init__(stem, stages, head, norm=nn.BatchNorm2d(dims[-1]))
        self.published_keys = SHARED_KEYS | (OVERLAP_KEYS if overlap else PATCH_KEYS)
        # unlike the video prediction code, the image network keeps torch's default here
        for stage in self.stages[:LOCAL_STAGES]:
            for layer in stage.modules():
                if isinstance(layer, CONVOLUTIONS):
                    layer.reset_parameters()
