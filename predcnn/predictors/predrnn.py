"""PredRNN: a memory that zigzags through all layers and all steps.

Wang et al., "PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal
LSTMs", 2017 (eq. 2 and fig. 2)
"""

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import (
    StackedPredictor,
    StackShape,
    StackState,
    convolve,
    gated_update,
    joined_gates,
)
from predcnn.registry import PREDICTORS


class STLSTMCell(nn.Module):
    """Spatiotemporal LSTM: a cell state through time and a memory through layers.

    The gates of its input are ordered i, f, g, i', f', g', o.
    """

    def __init__(self, dim_in: int, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.dim = dim
        self.conv_x = shape.gates(dim_in, 7 * dim)
        self.conv_h = shape.gates(dim, 4 * dim)
        self.conv_m = shape.gates(dim, 3 * dim)
        self.conv_o = shape.gates(2 * dim, dim)
        self.conv_last = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def joined_weights(self) -> tuple[Tensor, Tensor] | None:
        """Return joined weights over (x, h) and over (x, m); None if norms follow."""
        n, w = 3 * self.dim, joined_gates(self.conv_x)
        if w is None:
            return None
        of_h = torch.cat([torch.cat([w[:n], w[2 * n :]]), self.conv_h[0].weight], dim=1)
        return of_h, torch.cat([w[n : 2 * n], self.conv_m[0].weight], dim=1)

    def _gates(
        self, x: Tensor, h: Tensor, m: Tensor, weights: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Return i, f, g, o from x and h, and i', f', g' from x and m."""
        if weights is not None:
            return convolve(weights[0], x, h), convolve(weights[1], x, m)
        n, x_gates = 3 * self.dim, self.conv_x(x)
        of_h = torch.cat([x_gates[:, :n], x_gates[:, 2 * n :]], dim=1) + self.conv_h(h)
        return of_h, x_gates[:, n : 2 * n] + self.conv_m(m)

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, m: Tensor, weights: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Map input, states (B, dim, H, W) and `joined_weights` to h, c, m and (Δc, Δm)."""
        n = 3 * self.dim
        gates, m_gates = self._gates(x, h, m, weights)
        c, delta_c = gated_update(gates[:, :n], c, forget_bias=1.0)
        m, delta_m = gated_update(m_gates, m, forget_bias=1.0)
        both = torch.cat([c, m], dim=1)
        o = torch.sigmoid(gates[:, n:] + self.conv_o(both))
        return o * torch.tanh(self.conv_last(both)), c, m, (delta_c, delta_m)


@PREDICTORS.register("predrnn")
class PredRNN(StackedPredictor):
    """Spatiotemporal LSTM layers of one width on patches; see `StackedPredictor`."""

    cell = STLSTMCell
    least_layers = 1

    def step(self, x: Tensor, state: StackState) -> Tensor:
        for k, cell in enumerate(self.cell_list):
            x, state.c[k], state.m, increments = cell(
                x, state.h[k], state.c[k], state.m, state.weights[k]
            )
            state.h[k] = x
            if state.collect:
                state.increments.append(increments)
        return x
