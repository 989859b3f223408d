"""MIM: a memory inside the memory, driven by the change of the layer below.

Wang et al., "Memory In Memory: A Predictive Neural Network for Learning Higher-Order
Non-Stationarity from Spatiotemporal Dynamics", 2019, https://arxiv.org/abs/1811.07490 (eq. 1-3)
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.predictors.predrnn import STLSTMCell
from predcnn.predictors.stacked import StackedPredictor, StackShape, convolve, joined
from predcnn.predictors.unrolling import check_equal_widths, note_unused
from predcnn.registry import PREDICTORS


class PeepholeLSTM(nn.Module):
    """The recurrence of both MIM-N and MIM-S: a ConvLSTM with a peephole weight per pixel.

    (B, dim, H, W) with H, W fixed by the peepholes, which start at zero. Gate order i, g, f, o.
    """

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.ct_weight = nn.Parameter(torch.zeros(2 * dim, *shape.size))
        self.oc_weight = nn.Parameter(torch.zeros(dim, *shape.size))
        self.conv_h_concat = shape.gates(dim, 4 * dim)
        self.conv_x_concat = shape.gates(dim, 4 * dim)

    def recurrent_weight(self) -> Tensor | None:
        """The weight over (x, h) as one; None where norms stand behind the convolutions."""
        if not self.conv_x_concat.joinable:
            return None
        return joined(self.conv_x_concat[0].weight, self.conv_h_concat[0].weight)

    def recur(
        self, x: Tensor, h: Tensor, c: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Input, states (B, dim, H, W), `recurrent_weight` -> the new h, c."""
        if weight is None:
            gates = self.conv_h_concat(h) + self.conv_x_concat(x)
        else:
            gates = convolve(weight, x, h)
        i, g, f, o = gates.chunk(4, dim=1)
        i_weight, f_weight = self.ct_weight.chunk(2)
        i = torch.sigmoid(torch.addcmul(i, c, i_weight))
        f = torch.sigmoid(torch.addcmul(f, c, f_weight) + 1.0)
        c = torch.addcmul(f * c, i, torch.tanh(g))
        o = torch.sigmoid(torch.addcmul(o, c, self.oc_weight))
        return o * torch.tanh(c), c


class MIMN(PeepholeLSTM):
    """MIM-N, the non-stationary module: turns differences of hidden states into features.

    The published module has an unused readout, kept with compat "openstl".
    """

    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("conv_last",)

    def __init__(self, dim: int, shape: StackShape) -> None:
        super().__init__(dim, shape)
        note_unused(
            self, shape.compat, lambda: {"conv_last": nn.Conv2d(2 * dim, dim, 1, bias=False)}
        )

    def forward(
        self, x: Tensor, h: Tensor, c: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Input, states (B, dim, H, W), `recurrent_weight` -> the new h, c."""
        return self.recur(x, h, c, weight)


class MIMBlock(PeepholeLSTM):
    """Spatiotemporal LSTM whose forget gate is a recurrence of its own, MIM-S (inherited).

    Attributes:
        convlstm_c: the MIM-S cell state left by the last call; only with compat "openstl".
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
        """Input and MIM-N features, states (B, dim, H, W), `recurrent_weight` -> new h, c, m, s.

        s is the cell state of MIM-S. Two sums share i and g of the input, so that the convolutions
        of x, h and m stay apart.
        """
        x, diff = below
        i_x, g_x, f_x, o_x = self.conv_x_cc(x).chunk(4, dim=1)
        i_t, g_t, o_t = self.conv_t_cc(h).chunk(3, dim=1)
        i_s, g_s, f_s, o_s = self.conv_s_cc(m).chunk(4, dim=1)
        new_m = torch.sigmoid(i_x + i_s) * torch.tanh(g_x + g_s)
        m = torch.addcmul(new_m, torch.sigmoid(f_x + f_s + 1.0), m)
        kept, s = self.recur(diff, c, s, weight)
        c = torch.addcmul(kept, torch.sigmoid(i_x + i_t), torch.tanh(g_x + g_t))
        o = torch.sigmoid(o_x + o_t + o_s)
        return o * torch.tanh(self.conv_last(torch.cat([c, m], dim=1))), c, m, s


@dataclass
class MIMState:
    """States of all layers (s: MIM-S of the blocks), of the MIM-N stack, and the memory.

    Joined weights: ``bottom`` of the lowest layer, ``recurrent`` of MIM-S in the blocks, ``diff``
    of the MIM-N stack.
    """

    h: list[Tensor]
    c: list[Tensor]
    s: list[Tensor]
    diff_h: list[Tensor]
    diff_c: list[Tensor]
    m: Tensor
    bottom: tuple[Tensor, Tensor] | None
    recurrent: list[Tensor | None]
    diff: list[Tensor | None]
    started: bool = False


@PREDICTORS.register("mim")
class MIM(StackedPredictor):
    """A spatiotemporal LSTM layer below MIM blocks.

    (B, T, C, H, W) -> (B, frames_out, C, H, W), H and W as built, because of the peepholes; options
    and errors as `StackedPredictor` states them. At least two layers of equal width.

    The published blocks keep the cell state of MIM-S on the module: it is cut from the gradient at
    every step and never reset, so each batch starts from what the last one left. Here it is a state
    like any other. With compat "openstl" it leaks as published; then, and only then, does a call
    change the module, and a call after one with B > 1 samples must have B too, else ValueError.
    """

    needs_resolution = True

    def build(self, shape: StackShape) -> None:
        """Create the cells, the MIM-N stack and the readout."""
        dim = check_equal_widths(type(self).__name__, shape.hidden, least=2)[0]
        above = len(shape.hidden) - 1
        blocks = [MIMBlock(dim, shape) for _ in range(above)]
        self.stlstm_layer = nn.ModuleList([STLSTMCell(shape.channels, dim, shape), *blocks])
        self.stlstm_layer_diff = nn.ModuleList(MIMN(dim, shape) for _ in range(above))
        self.conv_last = nn.Conv2d(dim, shape.channels, 1, bias=False)

    def begin(self, first: Tensor, *, collect: bool) -> MIMState:
        """All states zero; with compat "openstl" MIM-S goes on where the last call ended."""
        zero = first.new_zeros(first.shape[0], self.shape.hidden[0], *first.shape[-2:])
        above = len(self.stlstm_layer_diff)
        layers = [zero] * (above + 1)
        s = [zero] * above
        if self.compat == "openstl":
            s = [self._left_behind(block, zero) for block in self.stlstm_layer[1:]]
        bottom, *blocks = self.stlstm_layer
        differences = [zero] * above
        return MIMState(
            layers,
            list(layers),
            s,
            differences,
            list(differences),
            zero,
            bottom.joined_weights(),
            [block.recurrent_weight() for block in blocks],
            [cell.recurrent_weight() for cell in self.stlstm_layer_diff],
        )

    def _left_behind(self, block: MIMBlock, zero: Tensor) -> Tensor:
        if block.convlstm_c is None:
            return zero
        if len(block.convlstm_c) not in (1, len(zero)):
            raise ValueError(
                f"MIM as published (compat='openstl') keeps a state of {len(block.convlstm_c)} "
                f"samples from its last call and cannot go on with {len(zero)}; use compat=None"
            )
        return block.convlstm_c.expand_as(zero)

    def step(self, x: Tensor, state: MIMState) -> Tensor:
        """One step through the lowest layer, the MIM-N stack and the blocks."""
        before = state.h[0]
        x, state.c[0], state.m, _ = self.stlstm_layer[0](
            x, before, state.c[0], state.m, state.bottom
        )
        state.h[0] = x
        if state.started:
            difference = x - before
            for i, cell in enumerate(self.stlstm_layer_diff):
                difference, state.diff_c[i] = cell(
                    difference, state.diff_h[i], state.diff_c[i], state.diff[i]
                )
                state.diff_h[i] = difference
        state.started = True
        for i, block in enumerate(self.stlstm_layer[1:]):
            k, below = i + 1, (x, state.diff_h[i])
            x, state.c[k], state.m, s = block(
                below, state.h[k], state.c[k], state.m, state.s[i], state.recurrent[i]
            )
            state.h[k] = x
            if self.compat == "openstl":
                s = block.convlstm_c = s.detach()
            state.s[i] = s
        return x
