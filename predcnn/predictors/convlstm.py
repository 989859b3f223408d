"""ConvLSTM: an LSTM whose products are convolutions.

Shi et al., "Convolutional LSTM Network", 2015, https://arxiv.org/abs/1506.04214 (eq. 3), without
peepholes and biases, as in OpenSTL.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import (
    StackedPredictor,
    StackShape,
    StackState,
    gated_update,
    joined_gates,
    summed_gates,
)
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


class ConvLSTMCell(nn.Module):
    """One layer, gates i, f, g, o; compat "openstl" adds two unused convolutions."""

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

    def joined_weights(self) -> Tensor | None:
        return joined_gates(self.conv_x, self.conv_h)

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map input (B, dim_in, H, W), states and `joined_weights` to new h, c (B, dim, H, W)."""
        gates = summed_gates(weight, (self.conv_x, self.conv_h), x, h)
        c, _ = gated_update(gates[:, : 3 * self.dim], c)
        return torch.sigmoid(gates[:, 3 * self.dim :]) * torch.tanh(c), c


@PREDICTORS.register("convlstm")
class ConvLSTM(StackedPredictor):
    """ConvLSTM layers on patches; for shapes and options see `StackedPredictor`."""

    cell = ConvLSTMCell

    def step(self, x: Tensor, state: StackState) -> Tensor:
        for k, cell in enumerate(self.cell_list):
            x, state.c[k] = cell(x, state.h[k], state.c[k], state.weights[k])
            state.h[k] = x
        return x
