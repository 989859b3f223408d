"""Selective state space models along several reading directions of a map, in one scan.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, sections 3.2
and 3.6; several directions at once: Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.precision import widened
from predcnn.ops.scan import DIRECTIONS, selective_scan


def check_directions(directions: tuple[str, ...]) -> tuple[str, ...]:
    """The directions, or ValueError for none, a repeated or an unknown one."""
    directions = tuple(directions)
    unknown = [d for d in directions if d not in DIRECTIONS]
    if unknown or not directions or len(set(directions)) < len(directions):
        raise ValueError(
            f"directions are one or more of {', '.join(DIRECTIONS)}, each once, not {directions}"
        )
    return directions


def step_bias(shape: tuple[int, ...], low: float = 1e-3, high: float = 0.1) -> Tensor:
    """Biases whose softplus is log-uniform in [low, high]: the initial step sizes of Mamba."""
    step = torch.exp(torch.rand(shape) * math.log(high / low) + math.log(low)).clamp(min=1e-4)
    return step + torch.log(-torch.expm1(-step))


class SelectiveScan(nn.Module):
    """:func:`predcnn.ops.scan.selective_scan` with step sizes through softplus, as a part of a net.

    (B, D, L) -> (B, D, L); a module so that its multiply–adds can be counted.
    """

    def forward(
        self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor
    ) -> Tensor:
        return selective_scan(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=True)

    def true_macs(self, u: tuple[int, ...], delta: tuple[int, ...], A: tuple[int, ...], *_) -> int:
        """By the rule of VMamba's published tables: 9 per state and step, 1 for the skip."""
        return (9 * A[1] + 1) * math.prod(u)


class SelectiveSSM(nn.Module):
    """K selective state space models, one per direction: (B, K, D, L) -> (B, K, D, L).

    Step sizes, B and C are linear in the input (x_proj, dt_projs); A is diagonal, -1..-N at first.

    Args:
        channels: D of each direction.
        state: N, size of the state of each channel.
    """

    def __init__(self, channels: int, state: int, rank: int, directions: int) -> None:
        super().__init__()
        self.sizes = [rank, state, state]
        self.scan = SelectiveScan()
        self.x_proj_weight = nn.Parameter(torch.empty(directions, rank + 2 * state, channels))
        self.dt_projs_weight = nn.Parameter(torch.empty(directions, channels, rank))
        self.dt_projs_bias = nn.Parameter(step_bias((directions, channels)))
        decay = torch.log(torch.arange(1, state + 1, dtype=torch.float32))
        self.A_logs = nn.Parameter(decay.repeat(directions * channels, 1))
        self.Ds = nn.Parameter(torch.ones(directions * channels))
        nn.init.uniform_(self.x_proj_weight, -(channels**-0.5), channels**-0.5)
        nn.init.uniform_(self.dt_projs_weight, -(rank**-0.5), rank**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.matmul(self.x_proj_weight, x)  # (B, K, R + 2N, L)
        step, B, C = parts.split(self.sizes, dim=2)
        step = torch.matmul(self.dt_projs_weight, step)  # (B, K, D, L)
        y = self.scan(
            x.flatten(1, 2),
            step.flatten(1, 2),
            -torch.exp(widened(self.A_logs)),
            B,
            C,
            widened(self.Ds),
            widened(self.dt_projs_bias).flatten(),
        )
        return y.unflatten(1, x.shape[1:3])


class CausalDepthwiseConv1d(nn.Conv1d):
    """Depthwise convolution that sees the present and the past: (B, C, L) -> (B, C, L)."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, channels, kernel_size, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (self.kernel_size[0] - 1, 0)))
