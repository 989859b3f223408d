"""MogaNet: stages of multi-order gated aggregation, each with a final batch norm.

Li et al., "MogaNet: Multi-order Gated Aggregation Network", ICLR 2024,
https://arxiv.org/abs/2211.03295 (fig. 3, table A1). Compared with the published code.
"""

from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import patch_embed_twice
from predcnn.backbones.staged import presets
from predcnn.backbones.van import STAGE_KEYS, VAN
from predcnn.blocks.moganet import MogaBlock


@presets(
    moganet_xtiny={"dims": (32, 64, 96, 192), "depths": (3, 3, 10, 2)},
    moganet_tiny={"dims": (32, 64, 128, 256), "depths": (3, 3, 12, 2)},
    moganet_small={"dims": (64, 128, 320, 512), "depths": (2, 3, 12, 2)},
    moganet_base={"dims": (64, 160, 320, 512), "depths": (4, 6, 22, 3)},
    moganet_large={"dims": (64, 160, 320, 640), "depths": (4, 6, 44, 4)},
    moganet_xlarge={"dims": (96, 192, 480, 960), "depths": (6, 6, 44, 4)},
)
class MogaNet(VAN):
    """MogaNet, images (B, in_chans, H, W) -> logits (B, num_classes); the skeleton is VAN's.

    Args (others: see `VAN`):
        dims: channels of each stage, divisible by 8.
        layer_scale: initial factor of the residual branches and of the decompositions.
    """

    published_keys: ClassVar[dict[str, str]] = STAGE_KEYS | {
        "stem.0.conv": "patch_embed1.projection.0",
        "stem.0.bn": "patch_embed1.projection.1",
        "stem.2.conv": "patch_embed1.projection.3",
        "stem.2.bn": "patch_embed1.projection.4",
        "stages.{i}.down.conv": "patch_embed{n}.projection",
        "stages.{i}.blocks": "blocks{n}",
    }
    block = MogaBlock

    layer_scale: float = 1e-5

    def make_stem(self) -> nn.Module:
        return patch_embed_twice(self.in_chans, self.dims[0])

    def make_stage_norm(self, dim: int) -> nn.Module:
        return nn.BatchNorm2d(dim)
