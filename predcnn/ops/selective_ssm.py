"""Selective state space models along several directions of a map, in one scan.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, sections 3.2
and 3.6; several directions at once: Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024.
"""

import math

import torch
from torch import Tensor, nn

from predcnn.ops.precision import widened
from predcnn.ops.scan import selective_scan


def step_bias(shape: tuple[int, ...]) -> Tensor:
    """Draw biases whose softplus is log-uniform in [1e-3, 0.1], Mamba's initial step sizes."""
    step = torch.exp(torch.rand(shape) * math.log(100) + math.log(1e-3))
    return step + torch.log(-torch.expm1(-step))


class SelectiveScan(nn.Module):
    """`selective_scan` with softplus, (B, D, L) -> (B, D, L), as a module that counts its MACs."""

    def forward(
        self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor
    ) -> Tensor:
        return selective_scan(u, delta, A, B, C, D, delta_bias=bias, delta_softplus=True)

    def true_macs(self, u: tuple[int, ...], delta: tuple[int, ...], A: tuple[int, ...], *_) -> int:
        """Count as VMamba's tables do: 9 per state and step, 1 for the skip connection."""
        return (9 * A[1] + 1) * math.prod(u)


class SelectiveSSM(nn.Module):
    """K selective state space models, one per direction: (B, K, D, L) -> (B, K, D, L).

    Step sizes, B and C are linear in the input; A is diagonal and starts at -1..-N.

    Args:
        channels: D of each direction.
        state: size N of the state of each channel.
        rank: of the projection to step sizes.
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
        A, D, bias = -torch.exp(widened(self.A_logs)), widened(self.Ds), widened(self.dt_projs_bias)
        y = self.scan(x.flatten(1, 2), step.flatten(1, 2), A, B, C, D, bias.flatten())
        return y.unflatten(1, x.shape[1:3])
