"""ConvLSTM: an LSTM whose products are convolutions.

Shi et al., "Convolutional LSTM Network", 2015, https://arxiv.org/abs/1506.04214 (eq. 3), without
peepholes and biases, as in the published tables.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import (
    StackedPredictor,
    StackShape,
    convolve,
    gated_update,
    joined,
)
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


class ConvLSTMCell(nn.Module):
    """One step of one layer, (B, dim_in, H, W) and its states -> the new states (B, dim, H, W).

    The gates are ordered i, f, g, o. The published cell also has an output-gate convolution over
    [c, m] and a readout, both unused; they exist here only with compat "openstl".
    """

    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("conv_o", "conv_last")

    def __init__(self, dim_in: int, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.dim = dim
        self.conv_x = shape.gates(dim_in, 4 * dim)
        self.conv_h = shape.gates(dim, 4 * dim)
        note_unused(
            self,
            shape.compat,
            lambda: {
                "conv_o": shape.gates(2 * dim, dim),
                "conv_last": nn.Conv2d(2 * dim, dim, 1, bias=False),
            },
        )

    def joined_weight(self) -> Tensor | None:
        """The weight of both gate convolutions as one; None where norms stand behind them."""
        if not self.conv_x.joinable:
            return None
        return joined(self.conv_x[0].weight, self.conv_h[0].weight)

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The new h and c, given what `joined_weight` gave."""
        gates = self.conv_x(x) + self.conv_h(h) if weight is None else convolve(weight, x, h)
        c, _ = gated_update(gates[:, : 3 * self.dim], c)
        return torch.sigmoid(gates[:, 3 * self.dim :]) * torch.tanh(c), c


@dataclass
class ConvLSTMState:
    """States of all layers, and their joined weights."""

    h: list[Tensor]
    c: list[Tensor]
    weights: list[Tensor | None]


@PREDICTORS.register("convlstm")
class ConvLSTM(StackedPredictor):
    """ConvLSTM layers on patches; options and errors as `StackedPredictor` states them.

    (B, T, C, H, W) -> (B, frames_out, C, H, W).
    """

    def build(self, shape: StackShape) -> None:
        """Create the cells and the readout."""
        self.cell_list = nn.ModuleList(ConvLSTMCell(*dims, shape) for dims in shape.layers())
        self.conv_last = nn.Conv2d(shape.hidden[-1], shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> ConvLSTMState:
        """All states zero."""
        zeros = [first.new_zeros(first.shape[0], n, *first.shape[-2:]) for n in self.shape.hidden]
        return ConvLSTMState(zeros, list(zeros), [cell.joined_weight() for cell in self.cell_list])

    def step(self, x: Tensor, state: ConvLSTMState) -> Tensor:
        """One step through all layers."""
        for k, cell in enumerate(self.cell_list):
            x, state.c[k] = cell(x, state.h[k], state.c[k], state.weights[k])
            state.h[k] = x
        return x
