"""ConvLSTM: an LSTM whose products are convolutions.

Shi et al., "Convolutional LSTM Network", 2015, https://arxiv.org/abs/1506.04214 (eq. 3), without
peepholes and biases, as in the published tables.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import StackedPredictor, StackShape, gated_update
from predcnn.predictors.unrolling import note_unused, over_time
from predcnn.registry import PREDICTORS


class ConvLSTMCell(nn.Module):
    """One layer over S steps, (S, B, dim_in, H, W) -> hidden states (S, B, dim, H, W).

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

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the hidden states (S, B, dim, H, W) and the last cell state (B, dim, H, W)."""
        hidden = []
        for x_gates in over_time(self.conv_x, x):
            gates = x_gates + self.conv_h(h)
            c, _ = gated_update(gates[:, : 3 * self.dim], c)
            h = torch.sigmoid(gates[:, 3 * self.dim :]) * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden), c


@PREDICTORS.register("convlstm")
class ConvLSTM(StackedPredictor):
    """ConvLSTM layers on patches; options and errors as `StackedPredictor` states them.

    (B, T, C, H, W) -> (B, frames_out, C, H, W).
    """

    def build(self, shape: StackShape) -> None:
        """Create the cells and the readout."""
        self.cell_list = nn.ModuleList(ConvLSTMCell(*dims, shape) for dims in shape.layers())
        self.conv_last = nn.Conv2d(shape.hidden[-1], shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> list[tuple[Tensor, Tensor]]:
        """Zero (h, c) of every layer."""
        zeros = [first.new_zeros(len(first), n, *first.shape[-2:]) for n in self.shape.hidden]
        return [(zero, zero) for zero in zeros]

    def advance(
        self, fed: Tensor, state: list[tuple[Tensor, Tensor]], *, last_only: bool
    ) -> Tensor:
        """S steps, layer by layer: no layer waits for a higher one."""
        x = fed
        for layer, cell in enumerate(self.cell_list):
            x, c = cell(x, *state[layer])
            state[layer] = (x[-1], c)
        return over_time(self.conv_last, x[-1:] if last_only else x)
