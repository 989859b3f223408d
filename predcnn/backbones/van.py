"""VAN: stages of large-kernel attention, each with a final layer norm.

Guo et al., "Visual Attention Network", 2022, https://arxiv.org/abs/2202.09741 (sec. 3.2, table 2).
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from predcnn.backbones.parts import patch_embed
from predcnn.backbones.staged import StagedBackbone, presets
from predcnn.blocks.van import VANBlock
from predcnn.ops.init import init_fan_out
from predcnn.ops.norm import LayerNorm2d

STAGE_KEYS = {
    "stages.{i}.down.bn": "patch_embed{n}.norm",
    "stages.{i}.blocks": "block{n}",
    "stages.{i}.norm": "norm{n}",
    "head.fc": "head",
}


@presets(
    van_b0={"dims": (32, 64, 160, 256), "depths": (3, 3, 5, 2)},
    van_b1={"dims": (64, 128, 320, 512), "depths": (2, 2, 4, 2)},
    van_b2={"dims": (64, 128, 320, 512), "depths": (3, 3, 12, 3)},
    van_b3={"dims": (64, 128, 320, 512), "depths": (3, 5, 27, 3)},
    van_b4={"dims": (64, 128, 320, 512), "depths": (3, 6, 40, 3)},
    van_b5={"dims": (96, 192, 480, 768), "depths": (3, 3, 24, 3)},
    van_b6={"dims": (96, 192, 384, 768), "depths": (6, 6, 90, 6)},
)
class VAN(StagedBackbone):
    """VAN, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        mlp_ratios: hidden channels of the MLPs of each stage, in units of its width.
        layer_scale: initial factor of the residual branches.
    """

    published_keys: ClassVar[dict[str, str]] = {
        "stem.conv": "patch_embed1.proj",
        "stem.bn": "patch_embed1.norm",
        "stages.{i}.down.conv": "patch_embed{n}.proj",
        **STAGE_KEYS,
    }
    block = VANBlock
    per_stage: ClassVar[dict[str, str]] = {"mlp_ratios": "mlp_ratio"}
    per_network = ("layer_scale",)

    mlp_ratios: Sequence[float] = (8, 8, 4, 4)
    layer_scale: float = 1e-2

    def make_stem(self) -> nn.Module:
        return patch_embed(self.in_chans, self.dims[0], 7, 4)

    def make_down(self, dim: int, out: int) -> nn.Module:
        return patch_embed(dim, out, 3, 2)

    def make_stage_norm(self, dim: int) -> nn.Module:
        return LayerNorm2d(dim)

    def initialise(self) -> None:
        init_fan_out(self)
