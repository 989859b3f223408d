"""IncepU: SimVP v1's U-shaped translator of Inception units.

Gao et al., "SimVP: Simpler yet Better Video Prediction", CVPR 2022,
https://arxiv.org/abs/2206.05099 (fig. 4, sec. 3.2). Tested against the reference code.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.registry import TRANSLATORS
from predcnn.translators.meta import chosen_options


class GroupConv(nn.Module):
    """Grouped convolution, group norm, LeakyReLU(0.2), (B, C_in, H, W) -> (B, C_out, H, W)."""

    def __init__(self, width_in: int, width_out: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        groups = 1 if width_in % groups else groups  # as in the reference code
        if width_out % groups:
            raise ValueError(f"incepu: {groups} groups do not divide {width_out} channels")
        self.conv = nn.Conv2d(
            width_in, width_out, kernel_size, padding=kernel_size // 2, groups=groups
        )
        self.norm = nn.GroupNorm(groups, width_out)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class InceptionUnit(nn.Module):
    """A 1x1 bottleneck, then the sum of grouped convolutions of several kernel sizes."""

    openstl_keys: ClassVar[dict[str, str]] = {"squeeze": "conv1", "branches": "layers"}

    def __init__(
        self, width_in: int, middle: int, width_out: int, kernels: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        self.squeeze = PointwiseConv2d(width_in, middle)
        self.branches = nn.ModuleList(GroupConv(middle, width_out, k, groups) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        first, *others = self.branches
        y = first(x)
        for branch in others:
            y = y + branch(x)
        return y


@TRANSLATORS.register("incepu")
class InceptionTranslator(nn.Module):
    """``depth`` units down and ``depth`` up with shortcuts by concatenation, at one resolution.

    (B, channels, H, W) -> (B, channels, H, W), any H, W.

    Args:
        channels: T * hid_S.
        hidden: width between the units; half of it inside them.
        depth: units on each side, at least 2.
        resolution, mlp_ratio, drop_path: not used.
        options: ``kernels``, the sizes in each unit, and ``groups``.
    """

    openstl_keys: ClassVar[dict[str, str]] = {"down": "enc", "up": "dec"}
    defaults: ClassVar[dict[str, object]] = {"kernels": (3, 5, 7, 11), "groups": 8}

    def __init__(
        self,
        channels: int,
        hidden: int,
        depth: int,
        *,
        resolution: tuple[int, int] | None = None,
        mlp_ratio: float = 8.0,
        drop_path: float = 0.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"incepu has at least 2 units on each side (N_T), not {depth}")
        chosen = chosen_options("incepu", self.defaults, options)

        def unit(width_in: int, width_out: int) -> InceptionUnit:
            return InceptionUnit(width_in, hidden // 2, width_out, **chosen)

        down = [(channels, hidden)] + [(hidden, hidden)] * (depth - 1)
        up = [(hidden, hidden)] + [(2 * hidden, hidden)] * (depth - 2) + [(2 * hidden, channels)]
        self.down = nn.ModuleList(unit(*widths) for widths in down)
        self.up = nn.ModuleList(unit(*widths) for widths in up)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for unit in self.down:
            x = unit(x)
            skips.append(x)
        skips.pop()  # the innermost is x itself
        first, *others = self.up
        x = first(x)
        for unit in others:
            x = unit(torch.cat([x, skips.pop()], dim=1))
        return x
