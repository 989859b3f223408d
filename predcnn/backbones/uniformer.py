"""UniFormer: convolutional stages first, then stages of self-attention.

Li et al., "UniFormer: Unifying Convolution and Self-attention for Visual Recognition", 2022,
https://arxiv.org/abs/2201.09450 (fig. 3, table 1). Compared with the published code.
"""

from collections.abc import Sequence

from torch import nn

from predcnn.backbones.parts import ClassifierHead, patch_embed, patch_embed_twice, patches
from predcnn.backbones.staged import StagedBackbone, presets
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

    block = UniFormerBlock
    per_network = ("layer_scale",)

    dims: Sequence[int] = (64, 128, 320, 512)
    head_dim: int = 64
    overlap: bool = False
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        if any(dim % self.head_dim for dim in self.dims[LOCAL_STAGES:]):
            raise ValueError(
                f"head_dim {self.head_dim} does not divide the channels of the stages with "
                f"self-attention, {tuple(self.dims[LOCAL_STAGES:])}"
            )
        super().__post_init__()
        self.published_keys = SHARED_KEYS | (OVERLAP_KEYS if self.overlap else PATCH_KEYS)

    def make_stem(self) -> nn.Module:
        if self.overlap:
            return patch_embed_twice(self.in_chans, self.dims[0])
        return patches(self.in_chans, self.dims[0], 4, eps=1e-5)

    def make_down(self, dim: int, out: int) -> nn.Module:
        return patch_embed(dim, out, 3, 2) if self.overlap else patches(dim, out, 2, eps=1e-5)

    def make_block(self, i: int, j: int, drop_path: float, **own: object) -> nn.Module:
        heads, local = self.dims[i] // self.head_dim, i < LOCAL_STAGES
        return super().make_block(i, j, drop_path, heads=heads, local=local, norm_eps=1e-6)

    def make_ends(self) -> tuple[ClassifierHead, nn.Module]:
        stem = self.make_stem()
        return self.make_head(), stem

    def make_norm(self, dim: int) -> nn.Module:
        return nn.BatchNorm2d(dim)

    def initialise(self) -> None:
        # the image network keeps torch's default here, the video prediction code does not
        for stage in self.stages[:LOCAL_STAGES]:
            for layer in stage.modules():
                if isinstance(layer, CONVOLUTIONS):
                    layer.reset_parameters()
