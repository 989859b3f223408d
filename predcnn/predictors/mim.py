"""MIM: a memory inside the memory, driven by the change of the layer below.

Wang et al., "Memory In Memory: A Predictive Neural Network for Learning Higher-Order
Non-Stationarity from Spatiotemporal Dynamics", 2019, https://arxiv.org/abs/1811.07490 (eq. 1-3)
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.predrnn import STLSTMCell
from predcnn.predictors.stacked import (
    StackedPredictor,
    StackShape,
    StackState,
    joined_gates,
    summed_gates,
)
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


class PeepholeLSTM(nn.Module):
    """The recurrence of MIM-N and MIM-S: a ConvLSTM with a peephole weight per pixel.

    The peepholes fix H and W, and are initially zero. Gates in the order i, g, f, o.
    """

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.ct_weight = nn.Parameter(torch.zeros(2 * dim, *shape.size))
        self.oc_weight = nn.Parameter(torch.zeros(dim, *shape.size))
        self.conv_h_concat = shape.gates(dim, 4 * dim)
        self.conv_x_concat = shape.gates(dim, 4 * dim)

    def joined_weights(self) -> Tensor | None:
        return joined_gates(self.conv_x_concat, self.conv_h_concat)

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map input, states (B, dim, H, W) and `joined_weights` to the new h, c."""
        gates = summed_gates(weight, (self.conv_x_concat, self.conv_h_concat), x, h)
        i, g, f, o = gates.chunk(4, dim=1)
        i_weight, f_weight = self.ct_weight.chunk(2)
        i = torch.sigmoid(torch.addcmul(i, c, i_weight))
        f = torch.sigmoid(torch.addcmul(f, c, f_weight) + 1.0)
        c = torch.addcmul(f * c, i, torch.tanh(g))
        o = torch.sigmoid(torch.addcmul(o, c, self.oc_weight))
        return o * torch.tanh(c), c


class MIMN(PeepholeLSTM):
    """MIM-N: differences of hidden states -> features; "openstl" adds an unused readout."""

    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("conv_last",)

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__(dim, shape)
        note_unused(
            self, shape.compat, lambda: {"conv_last": nn.Conv2d(2 * dim, dim, 1, bias=False)}
        )


class MIMBlock(PeepholeLSTM):
    """Spatiotemporal LSTM whose forget gate is a recurrence, MIM-S (inherited).

    Attributes:
        convlstm_c: cell state of MIM-S after the last call; only with compat "openstl".
    """

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__(dim, shape)
        self.conv_t_cc = shape.gates(dim, 3 * dim)
        self.conv_s_cc = shape.gates(dim, 4 * dim)
        self.conv_x_cc = shape.gates(dim, 4 * dim)
        self.conv_last = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.convlstm_c: Tensor | None = None

    def forward(
        self,
        below: tuple[Tensor, Tensor],
        h: Tensor,
        c: Tensor,
        m: Tensor,
        s: Tensor,
        weight: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map input and MIM-N features, states (B, dim, H, W), `joined_weights` to h, c, m, s.

        s is the cell state of MIM-S. Two sums share i and g of the input, so the convolutions of
        x, h and m cannot be joined.
        """
        x, diff = below
        i_x, g_x, f_x, o_x = self.conv_x_cc(x).chunk(4, dim=1)
        i_t, g_t, o_t = self.conv_t_cc(h).chunk(3, dim=1)
        i_s, g_s, f_s, o_s = self.conv_s_cc(m).chunk(4, dim=1)
        new_m = torch.sigmoid(i_x + i_s) * torch.tanh(g_x + g_s)
        m = torch.addcmul(new_m, torch.sigmoid(f_x + f_s + 1.0), m)
        kept, s = super().forward(diff, c, s, weight)
        c = torch.addcmul(kept, torch.sigmoid(i_x + i_t), torch.tanh(g_x + g_t))
        o = torch.sigmoid(o_x + o_t + o_s)
        return o * torch.tanh(self.conv_last(torch.cat([c, m], dim=1))), c, m, s


@dataclass(kw_only=True)
class MIMState(StackState):
    """A `StackState` with the MIM-S cells ``s`` and what belongs to the MIM-N stack."""

    s: list[Tensor]
    diff_h: list[Tensor]  # states and joined weights of the MIM-N stack
    diff_c: list[Tensor]
    diff_weights: list[Tensor | None]
    # whether a step was taken, so that there is a difference of hidden states
    started: bool = False


@PREDICTORS.register("mim")
class MIM(StackedPredictor):
    """A spatiotemporal LSTM layer below MIM blocks, two or more layers of one width.

    For shapes and options see `StackedPredictor`; the peepholes fix H and W. The reference code
    keeps the cell state of MIM-S on the module: detached at every step and never reset, it passes
    from batch to batch. Here it is a state of the call, except with compat "openstl"; then a call
    after one with B > 1 samples must have B samples too.
    """

    needs_resolution = True
    least_layers = 2

    def build(self, shape: StackShape) -> None:
        dim, above = shape.hidden[0], len(shape.hidden) - 1
        blocks = [MIMBlock(dim, shape) for _ in range(above)]
        self.stlstm_layer = nn.ModuleList([STLSTMCell(shape.channels, dim, shape), *blocks])
        self.stlstm_layer_diff = nn.ModuleList(MIMN(dim, shape) for _ in range(above))
        self.conv_last = nn.Conv2d(dim, shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> MIMState:
        state = self.zero_state(first, self.stlstm_layer, collect)
        zeros = state.h[1:]
        s = list(zeros)
        if self.compat == "openstl":
            s = [self._left_behind(block, state.m) for block in self.stlstm_layer[1:]]
        weights = [cell.joined_weights() for cell in self.stlstm_layer_diff]
        return MIMState(
            **vars(state), s=s, diff_h=list(zeros), diff_c=list(zeros), diff_weights=weights
        )

    def _left_behind(self, block: MIMBlock, zero: Tensor) -> Tensor:
        if block.convlstm_c is None:
            return zero
        if len(block.convlstm_c) not in (1, len(zero)):
            count = len(block.convlstm_c)
            raise ValueError(f"compat='openstl' keeps a state of {count} samples, not {len(zero)}")
        return block.convlstm_c.expand_as(zero)

    def step(self, x: Tensor, state: MIMState) -> Tensor:
        before = state.h[0]
        x, state.c[0], state.m, _ = self.stlstm_layer[0](
            x, before, state.c[0], state.m, state.weights[0]
        )
        state.h[0] = x
        if state.started:
            difference = x - before
            for i, cell in enumerate(self.stlstm_layer_diff):
                difference, state.diff_c[i] = cell(
                    difference, state.diff_h[i], state.diff_c[i], state.diff_weights[i]
                )
                state.diff_h[i] = difference
        state.started = True
        for i, block in enumerate(self.stlstm_layer[1:]):
            k, below = i + 1, (x, state.diff_h[i])
            x, state.c[k], state.m, s = block(
                below, state.h[k], state.c[k], state.m, state.s[i], state.weights[k]
            )
            state.h[k] = x
            if self.compat == "openstl":
                s = block.convlstm_c = s.detach()
            state.s[i] = s
        return x
