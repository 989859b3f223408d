"""VMamba: stages of selective scans in four directions, in the final and the first version.

Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, https://arxiv.org/abs/2401.10166
(fig. 3; the networks with few, cheap scans, "s1l8" and "s1l20" in the published code), and its
first version (v1, fig. 3: gated, no MLP). Compared with the published code.
"""

import functools
from typing import ClassVar

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.backbones.parts import conv_norm, conv_norm_twice, doubling, patches
from predcnn.backbones.staged import StagedBackbone, presets
from predcnn.blocks.vmamba import VMambaBlock
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.norm import LayerNorm2d

EPS = 1e-5
SHARED_KEYS = {
    "stages.{i}.blocks": "layers.{i}.blocks",
    "norm": "classifier.norm",
    "head.fc": "classifier.head",
}


class _VMamba(StagedBackbone):
    """Common part of both versions."""

    block = VMambaBlock

    def make_norm(self, dim: int) -> nn.Module:
        return LayerNorm2d(dim, EPS)

    def no_weight_decay(self) -> set[str]:
        """Return the names of parameters that the published optimizers do not decay."""
        return {name for name, _ in self.named_parameters() if name.endswith(("A_logs", "Ds"))}


@presets(
    vmamba_tiny={"dims": doubling(96), "depths": (2, 2, 8, 2)},
    vmamba_small={"dims": doubling(96), "depths": (2, 2, 20, 2)},
    vmamba_base={"dims": doubling(128), "depths": (2, 2, 20, 2)},
)
class VMamba(_VMamba):
    """VMamba, images (B, in_chans, H, W) -> logits (B, num_classes).

    Args (others: see `StagedBackbone`):
        ssm_ratio: inner channels of the scan, in units of the stage's: 1, or 2 with fewer blocks
            (the published "s2l5" is ``ssm_ratio=2, depths=(2, 2, 5, 2)``).
    """

    published_keys: ClassVar[dict[str, str]] = SHARED_KEYS | {
        "stem.0": "patch_embed.0",
        "stem.1": "patch_embed.2",
        "stem.3": "patch_embed.5",
        "stem.4": "patch_embed.7",
        "stages.{i}.down.0": "layers.{p}.downsample.1",
        "stages.{i}.down.1": "layers.{p}.downsample.3",
    }

    per_network = ("mlp_ratio", "ssm_ratio", "state")

    ssm_ratio: float = 1.0
    state: int = 1
    mlp_ratio: float = 4.0

    def make_stem(self) -> nn.Module:
        return conv_norm_twice(self.in_chans, self.dims[0], EPS)

    def make_down(self, dim: int, out: int) -> nn.Module:
        return conv_norm(dim, out, eps=EPS)


class PatchMerging(nn.Module):
    """Concatenated 2 x 2 pixels, layer norm, linear: (B, C, H, W) -> (B, out, H/2, W/2).

    Odd sizes are padded with zeros. Liu et al., "Swin Transformer", ICCV 2021, section 3.1.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out, bias=False)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        squares = rearrange(x, "b c (h p1) (w p2) -> b h w (p2 p1 c)", p1=2, p2=2)
        return rearrange(self.reduction(self.norm(squares)), "b h w c -> b c h w")


@presets(
    vmamba_v0_tiny={"dims": doubling(96), "depths": (2, 2, 9, 2)},
    vmamba_v0_small={"dims": doubling(96), "depths": (2, 2, 27, 2)},
    vmamba_v0_base={"dims": doubling(128), "depths": (2, 2, 27, 2)},
)
class VMambaV0(_VMamba):
    """The first VMamba, images (B, in_chans, H, W) -> logits (B, num_classes); see `VMamba`."""

    published_keys: ClassVar[dict[str, str]] = SHARED_KEYS | {
        "stem.0": "patch_embed.0",
        "stem.1": "patch_embed.2",
        "stages.{i}.down": "layers.{p}.downsample",
    }

    block = staticmethod(functools.partial(VMambaBlock, mlp_ratio=0, form="v0"))
    per_network = ("ssm_ratio", "state")

    ssm_ratio: float = 2.0
    state: int = 16

    def make_stem(self) -> nn.Module:
        return patches(self.in_chans, self.dims[0], 4, EPS)

    def make_down(self, dim: int, out: int) -> nn.Module:
        return PatchMerging(dim, out)
