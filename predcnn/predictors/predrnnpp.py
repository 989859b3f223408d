"""PredRNN++: causal LSTM cells and a gradient highway past them.

Wang et al., "PredRNN++: Towards A Resolution of the Deep-in-Time Dilemma in Spatiotemporal
Predictive Learning", 2018, https://arxiv.org/abs/1804.06300 (eq. 1-3, fig. 2 and 3)
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.stacked import (
    StackedPredictor,
    StackShape,
    StackState,
    convolve,
    gated_update,
    joined_gates,
    summed_gates,
)
from predcnn.predictors.unrolling import mixed, note_unused
from predcnn.registry import PREDICTORS


class CausalLSTMCell(nn.Module):
    """Causal LSTM: the cell state is updated first and steers the update of the memory.

    The gates of its input are ordered i, f, g, i', f', g', o. compat "openstl" adds an unused
    convolution over [c, m].
    """

    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("conv_o",)

    def __init__(self, dim_in: int, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.conv_x = shape.gates(dim_in, 7 * dim)
        self.conv_h = shape.gates(dim, 4 * dim)
        self.conv_c = shape.gates(dim, 3 * dim)
        self.conv_m = shape.gates(dim, 3 * dim)
        self.conv_c2m = shape.gates(dim, 4 * dim)
        self.conv_om = shape.gates(dim, dim)
        self.conv_last = nn.Conv2d(2 * dim, dim, 1, bias=False)
        note_unused(self, shape.compat, lambda: {"conv_o": shape.gates(2 * dim, dim)})

    def joined_weights(self) -> tuple[Tensor, ...] | None:
        """Return joined weights over (x, h, c), (x, c) and (h, m); None if norms follow.

        They give i, f, g; i', g', f', o; and the rest of o.
        """
        x, h, c = (joined_gates(part) for part in (self.conv_x, self.conv_h, self.conv_c))
        if x is None:
            return None
        n = len(c)
        return (
            torch.cat([x[:n], h[:n], c], dim=1),
            torch.cat([_steering(x[n:]), self.conv_c2m[0].weight], dim=1),
            torch.cat([h[n:], self.conv_om[0].weight], dim=1),
        )

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, m: Tensor, weights: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map input, states (B, dim, H, W) and `joined_weights` to the new h, c, m."""
        if weights is not None:
            c, _ = gated_update(convolve(weights[0], x, h, c), c, forget_bias=1.0)
            steering = convolve(weights[1], x, c)
            m, o = self._memory(steering, m)
            o = o + convolve(weights[2], h, m)
        else:
            n, x_gates, h_gates = 3 * c.shape[1], self.conv_x(x), self.conv_h(h)
            gates = x_gates[:, :n] + h_gates[:, :n] + self.conv_c(c)
            c, _ = gated_update(gates, c, forget_bias=1.0)
            steering = _steering(x_gates[:, n:], dim=1) + self.conv_c2m(c)
            m, o = self._memory(steering, m)
            o = o + h_gates[:, n:] + self.conv_om(m)
        return torch.tanh(o) * torch.tanh(self.conv_last(torch.cat([c, m], dim=1))), c, m

    def _memory(self, steering: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new memory, and the part of o from input and cell."""
        i, g, f, o = steering.chunk(4, dim=1)
        i_m, f_m, kept = self.conv_m(m).chunk(3, dim=1)
        new = torch.sigmoid(i + i_m) * torch.tanh(g)
        return torch.addcmul(new, torch.sigmoid(f + f_m + 1.0), torch.tanh(kept)), o


def _steering(of_x: Tensor, dim: int = 0) -> Tensor:
    """Reorder the input's gates i', f', g', o to i', g', f', o, the order of the cell's."""
    i, f, g, o = of_x.chunk(4, dim=dim)
    return torch.cat([i, g, f, o], dim=dim)


class GradientHighway(nn.Module):
    """Gradient highway z <- u · p + (1 - u) · z; initial weights uniform in ±0.001."""

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.x_concat = shape.gates(dim, 2 * dim)
        self.z_concat = shape.gates(dim, 2 * dim)
        for conv in (self.x_concat[0], self.z_concat[0]):
            nn.init.uniform_(conv.weight, -1e-3, 1e-3)

    def joined_weights(self) -> Tensor | None:
        return joined_gates(self.x_concat, self.z_concat)

    def forward(self, x: Tensor, z: Tensor, weight: Tensor | None) -> Tensor:
        """Map x, z (B, dim, H, W) and `joined_weights` to the new z."""
        gates = summed_gates(weight, (self.x_concat, self.z_concat), x, z)
        p, u = gates.chunk(2, dim=1)
        return mixed(torch.sigmoid(u), torch.tanh(p), z)


@PREDICTORS.register("predrnnpp")
class PredRNNpp(StackedPredictor):
    """Two or more causal LSTM layers of one width, with a gradient highway above the first.

    For shapes and options see `StackedPredictor`. ``layer_norm`` needs compat None: the highway's
    LayerNorms in the reference code expect half of the channels they get.
    """

    cell = CausalLSTMCell
    least_layers = 2

    def build(self, shape: StackShape) -> None:
        if shape.layer_norm and shape.compat == "openstl":
            raise ValueError("PredRNN++ cannot run with layer_norm=True and compat='openstl'")
        dim = shape.hidden[0]
        self.cell_list = nn.ModuleList(self.cell(*dims, shape) for dims in shape.layers())
        self.gradient_highway = GradientHighway(dim, shape)
        self.conv_last = nn.Conv2d(dim, shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> StackState:
        state = self.zero_state(first, [*self.cell_list, self.gradient_highway], collect)
        state.h.append(state.m)  # z of the highway, last like its weight
        return state

    def step(self, x: Tensor, state: StackState) -> Tensor:
        for k, cell in enumerate(self.cell_list):
            if k == 1:
                x = state.h[-1] = self.gradient_highway(x, state.h[-1], state.weights[-1])
            x, state.c[k], state.m = cell(x, state.h[k], state.c[k], state.m, state.weights[k])
            state.h[k] = x
        return x
