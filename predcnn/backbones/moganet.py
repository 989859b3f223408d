"""MogaNet: stages of multi-order gated aggregation, each closed by a batch norm.

Li et al., "MogaNet: Multi-order Gated Aggregation Network", ICLR 2024,
https://arxiv.org/abs/2211.03295 (fig. 3, table A1). Compared with the published code.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import patch_embed, patch_embed_twice
from predcnn.backbones.staged import StagedBackbone, presets
from predcnn.blocks.moganet import MogaBlock
from predcnn.ops.init import init_fan_out


@presets(
    moganet_xtiny={"dims": (32, 64, 96, 192), "depths": (3, 3, 10, 2)},
    moganet_tiny={"dims": (32, 64, 128, 256), "depths": (3, 3, 12, 2)},
    moganet_small={"dims": (64, 128, 320, 512), "depths": (2, 3, 12, 2)},
    moganet_base={"dims": (64, 160, 320, 512), "depths": (4, 6, 22, 3)},
    moganet_large={"dims": (64, 160, 320, 640), "depths": (4, 6, 44, 4)},
    moganet_xlarge={"dims": (96, 192, 480, 960), "depths": (6, 6, 44, 4)},
)
class MogaNet(StagedBackbone):
    """MogaNet, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        dims: channels of each stage, divisible by 8.
        mlp_ratios: hidden channels of the feed-forward parts of each stage, in units of its width.
        layer_scale: initial factor of the residual branches and of the decompositions.
    """

    published_keys: ClassVar[dict[str, str]] = {
        "stem.0.conv": "patch_embed1.projection.0",
        "stem.0.bn": "patch_embed1.projection.1",
        "stem.2.conv": "patch_embed1.projection.3",
        "stem.2.bn": "patch_embed1.projection.4",
        "stages.{i}.down.conv": "patch_embed{n}.projection",
        "stages.{i}.down.bn": "patch_embed{n}.norm",
        "stages.{i}.blocks": "blocks{n}",
        "stages.{i}.norm": "norm{n}",
        "head.fc": "head",
    }

    per_stage: ClassVar[tuple[str, ...]] = ("mlp_ratios",)

    mlp_ratios: Sequence[float] = (8, 8, 4, 4)
    layer_scale: float = 1e-5

    def make_stem(self) -> nn.Module:
        return patch_embed_twice(self.in_chans, self.dims[0])

    def make_down(self, dim: int, out: int) -> nn.Module:
        return patch_embed(dim, out, 3, 2)

    def make_block(self, i: int, j: int, drop_path: float) -> MogaBlock:
        return MogaBlock(
            self.dims[i],
            mlp_ratio=self.mlp_ratios[i],
            drop_path=drop_path,
            layer_scale=self.layer_scale,
        )

    def make_stage_norm(self, dim: int) -> nn.Module:
        return nn.BatchNorm2d(dim)

    def initialise(self) -> None:
        init_fan_out(self)
