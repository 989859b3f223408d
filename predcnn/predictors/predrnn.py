"""PredRNN: a memory that zigzags through all layers and all steps.

Wang et al., "PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal
LSTMs", 2017 (eq. 2 and fig. 2)
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import StackedPredictor, StackShape, gated_update
from predcnn.predictors.unrolling import check_equal_widths, over_time
from predcnn.registry import PREDICTORS


class STLSTMCell(nn.Module):
    """Spatiotemporal LSTM: a cell state through time and a memory through layers.

    Its input arrives as gates ``conv_x(x)``, (B, 7*dim, H, W) in the order i, f, g, i', f', g', o,
    so that the caller can convolve many known inputs at once.
    """

    def __init__(self, dim_in: int, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.dim = dim
        self.conv_x = shape.gates(dim_in, 7 * dim)
        self.conv_h = shape.gates(dim, 4 * dim)
        self.conv_m = shape.gates(dim, 3 * dim)
        self.conv_o = shape.gates(2 * dim, dim)
        self.conv_last = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def forward(
        self, x_gates: Tensor, h: Tensor, c: Tensor, m: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Gates of the input and three states (B, dim, H, W) -> h, c, m, and the added (Δc, Δm)."""
        h_gates = self.conv_h(h)
        n = 3 * self.dim
        c, delta_c = gated_update(x_gates[:, :n] + h_gates[:, :n], c, forget_bias=1.0)
        m_gates = x_gates[:, n : 2 * n] + self.conv_m(m)
        m, delta_m = gated_update(m_gates, m, forget_bias=1.0)
        both = torch.cat([c, m], dim=1)
        o = torch.sigmoid(x_gates[:, 2 * n :] + h_gates[:, n:] + self.conv_o(both))
        return o * torch.tanh(self.conv_last(both)), c, m, (delta_c, delta_m)


@dataclass
class PredRNNState:
    """States of all layers, the memory that passes through them, and what each step added.

    ``increments`` holds (Δc, Δm) of every step and layer if ``collect``.
    """

    h: list[Tensor]
    c: list[Tensor]
    m: Tensor
    collect: bool
    increments: list[tuple[Tensor, Tensor]] = field(default_factory=list)


@PREDICTORS.register("predrnn")
class PredRNN(StackedPredictor):
    """Spatiotemporal LSTM layers on patches; options and errors as `StackedPredictor` states them.

    (B, T, C, H, W) -> (B, frames_out, C, H, W). All layers have the same width, else ValueError.
    """

    def build(self, shape: StackShape) -> None:
        """Create the cells and the readout."""
        check_equal_widths(type(self).__name__, shape.hidden, least=1)
        self.cell_list = nn.ModuleList(STLSTMCell(*dims, shape) for dims in shape.layers())
        self.conv_last = nn.Conv2d(shape.hidden[-1], shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> PredRNNState:
        """All states zero."""
        zero = first.new_zeros(len(first), self.shape.hidden[0], *first.shape[-2:])
        layers = len(self.shape.hidden)
        return PredRNNState([zero] * layers, [zero] * layers, zero, collect)

    def advance(self, fed: Tensor, state: PredRNNState, *, last_only: bool) -> Tensor:
        """S steps; only the bottom layer's input convolution can run ahead of the memory."""
        top = []
        for x_gates in over_time(self.cell_list[0].conv_x, fed):
            for layer, cell in enumerate(self.cell_list):
                gates = cell.conv_x(state.h[layer - 1]) if layer else x_gates
                state.h[layer], state.c[layer], state.m, increments = cell(
                    gates, state.h[layer], state.c[layer], state.m
                )
                if state.collect:
                    state.increments.append(increments)
            top.append(state.h[-1])
        return over_time(self.conv_last, torch.stack(top[-1:] if last_only else top))
