"""Mamba block on maps: a gated selective state space model over the pixels, in several directions.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, section 3.4
and figure 3. So that every pixel sees the entire map, pixels are read in raster order and in its
reverse, as in Zhu et al., "Vision Mamba", ICML 2024. Each direction has its own convolution and
state space parameters; the projections and the gate are shared, and the directions are averaged. A
single direction is exactly the published Mamba.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops import DropPath, TokenMlp
from predcnn.ops.scan import DIRECTIONS, cross_merge, cross_scan
from predcnn.ops.selective_ssm import SelectiveSSM
from predcnn.registry import BLOCKS


class CausalDepthwiseConv1d(nn.Conv1d):
    """Depthwise convolution over the present and the past, (B, C, L) -> (B, C, L)."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, channels, kernel_size, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (self.kernel_size[0] - 1, 0)))


class MambaMixer(nn.Module):
    """Gated selective scan of a map, channels last: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(
        self, dim: int, state: int, conv: int, expand: float, directions: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.directions = tuple(directions)
        ways = len(set(self.directions) & set(DIRECTIONS))
        if not ways or ways < len(self.directions):
            listed = ", ".join(DIRECTIONS)
            raise ValueError(
                f"directions are one or more of {listed}, each once, not {self.directions}"
            )
        inner = int(dim * expand)
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = CausalDepthwiseConv1d(ways * inner, conv)
        self.ssm = SelectiveSSM(inner, state, math.ceil(dim / 16), ways)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = cross_scan(x.permute(0, 3, 1, 2), self.directions)  # (B, K, inner, L)
        ways = x.shape[1:3]
        x = functional.silu(self.conv1d(x.flatten(1, 2))).unflatten(1, ways)
        y = cross_merge(self.ssm(x), height, width, self.directions) / len(self.directions)
        return self.out_proj(y.permute(0, 2, 3, 1) * functional.silu(gate))


@BLOCKS.register("mamba")
class MambaBlock(nn.Module):
    """A Mamba mixer and, beyond the paper, an MLP: (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        mlp_ratio: hidden channels of the MLP, in units of ``dim``; 0 for no MLP, as in the paper.
        state: size N of the state of each channel.
        conv: taps of the causal convolution along the sequence.
        expand: inner channels of the mixer, in units of ``dim``.
        directions: orders in which the pixels are read, of `predcnn.ops.scan.DIRECTIONS`.
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        state: int = 16,
        conv: int = 4,
        expand: float = 2.0,
        directions: tuple[str, ...] = ("row", "row_reversed"),
    ) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.mixer = MambaMixer(dim, state, conv, expand, directions)
        self.norm2 = nn.RMSNorm(dim, eps=1e-5) if mlp_ratio else None
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio)) if mlp_ratio else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = x + self.drop_path(self.mixer(self.norm(x)))
        if self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2)
