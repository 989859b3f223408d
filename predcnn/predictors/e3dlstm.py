"""E3D-LSTM: an LSTM over windows of two frames that recalls its own past cells by attention.

Wang et al., "Eidetic 3D LSTM: A Model for Video Prediction and Beyond", ICLR 2019 (eq. 1-3, fig. 3)

Its 3-D convolutions, (2, k, k) over two frames without padding in time, give one time step, which
is repeated. They are computed as 2-D convolutions of twice the channels, the result is broadcast.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.stacked import GateConv, StackedPredictor, StackShape
from predcnn.predictors.unrolling import over_time
from predcnn.registry import PREDICTORS

WINDOW = 2


class WindowConv(nn.Module):
    """Convolution over a window of two frames, (B, dim_in, 2, H, W) -> (B, dim_out, 1, H, W)."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int) -> None:
        super().__init__()
        size, self.padding = (WINDOW, kernel, kernel), kernel // 2
        self.conv3d = nn.Conv3d(dim_in, dim_out, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        joined = "b c t h w -> b (c t) h w"
        weight = rearrange(self.conv3d.weight, joined)
        return functional.conv2d(rearrange(x, joined), weight, padding=self.padding).unsqueeze(2)


class WindowGates(GateConv):
    """All gates of one state: (B, dim_in, 1 or 2, H, W) -> (B, dim_out, 1, H, W).

    The optional LayerNorm over (dim_out, 2, H, W) gives two different time steps.
    """

    def __init__(self, dim_in: int, dim_out: int, shape: StackShape) -> None:
        norm_shape = [dim_out, WINDOW, *shape.size] if shape.layer_norm else None
        super().__init__(WindowConv(dim_in, dim_out, shape.kernel), norm_shape)

    def forward(self, x: Tensor) -> Tensor:
        gates = self[0](_both(x))
        return self[1](_both(gates)) if len(self) > 1 else gates


class EideticCell(nn.Module):
    """Eidetic 3-D LSTM cell, states (B, dim, 2, H, W).

    Its input is ``conv_x(x)``, gates in the order i, g, r, o, i', g', f'. The recall weighs all
    earlier cell states by r. As in the reference code, queries and keys are `vectors`, not the
    channels of a position. The reference cell returns the global memory it was given, which
    therefore stays zero; here it returns the new one, unless compat is "openstl".
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "norm_c": "_norm_c_t",
        "conv_last": "conv_last.conv3d",
    }
    openstl_ndim: ClassVar[dict[str, int]] = {"conv_last.weight": 5}

    def __init__(self, dim_in: int, dim: int, shape: StackShape) -> None:
        super().__init__()
        self.memory_is_dead = shape.compat == "openstl"
        self.norm_c = nn.LayerNorm([dim, WINDOW, *shape.size])
        self.conv_x = WindowGates(dim_in, 7 * dim, shape)
        self.conv_h = WindowGates(dim, 4 * dim, shape)
        self.conv_gm = WindowGates(dim, 4 * dim, shape)
        self.conv_new_cell = WindowGates(dim, dim, shape)
        self.conv_new_gm = WindowGates(dim, dim, shape)
        self.conv_last = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def forward(
        self, x_gates: Tensor, h: Tensor, c: Tensor, m: Tensor, history: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map gates, states and earlier cells (B, n, dim) as `vectors` to the new h, c, m."""
        i_x, g_x, r_x, o_x, i_mx, g_mx, f_mx = x_gates.chunk(7, dim=1)
        i_h, g_h, r_h, o_h = self.conv_h(h).chunk(4, dim=1)
        r = vectors(_both(torch.sigmoid(r_x + r_h)))
        recalled = functional.scaled_dot_product_attention(r, history, history, scale=1.0)
        new_c = self.norm_c(c + recalled.reshape(c.shape))
        new_c = torch.addcmul(new_c, torch.sigmoid(i_x + i_h), torch.tanh(g_x + g_h))
        i_m, f_m, g_m, m_m = self.conv_gm(m).chunk(4, dim=1)
        new_m = torch.addcmul(
            torch.sigmoid(f_mx + f_m + 1.0) * torch.tanh(m_m),
            torch.sigmoid(i_mx + i_m),
            torch.tanh(g_mx + g_m),
        )
        o = torch.tanh(o_x + o_h + self.conv_new_cell(new_c) + self.conv_new_gm(new_m))
        both = torch.cat([new_c, _both(new_m)], dim=1)
        memory = self.conv_last(rearrange(both, "b c t h w -> b c (t h) w"))
        memory = rearrange(memory, "b c (t h) w -> b c t h w", t=WINDOW)
        return torch.tanh(memory) * torch.sigmoid(o), new_c, m if self.memory_is_dead else new_m


def vectors(state: Tensor) -> Tensor:
    """Reshape (B, dim, 2, H, W) to (B, 2*H*W, dim) without moving the channels."""
    return state.reshape(state.shape[0], -1, state.shape[1])


@dataclass
class E3DState:
    """States of all layers, the global memory, all earlier cells, and the last frame fed."""

    h: list[Tensor]
    c: list[Tensor]
    m: Tensor
    history: list[Tensor]
    last_fed: Tensor


@PREDICTORS.register("e3dlstm")
class E3DLSTM(StackedPredictor):
    """Eidetic 3-D LSTM layers of one width on patches.

    For shapes and options see `StackedPredictor`; the LayerNorm over the cells fixes H and W. A
    step sees the frame it is fed and the one before (zeros before the first). Time and memory of
    the recall grow with the square of the steps. The published loss is the sum of MSE and MAE.
    """

    needs_resolution = True
    openstl_keys: ClassVar[dict[str, str]] = {"conv_last.conv3d": "conv_last"}
    least_layers = 1

    def build(self, shape: StackShape) -> None:
        self.cell_list = nn.ModuleList(EideticCell(*dims, shape) for dims in shape.layers())
        self.conv_last = WindowConv(shape.hidden[-1], shape.channels, 1)

    def begin(self, first: Tensor, *, collect: bool) -> E3DState:
        """Return zero states; as in the reference code the zero cell is part of the history."""
        zero = first.new_zeros(first.shape[0], self.shape.hidden[0], WINDOW, *first.shape[-2:])
        layers = [zero] * len(self.shape.hidden)
        history = [vectors(zero)] * len(layers)
        return E3DState(layers, list(layers), zero, history, torch.zeros_like(first))

    def advance(self, fed: Tensor, state: E3DState, *, last_only: bool) -> Tensor:
        """Take S steps; only the bottom layer's input convolution runs on all of them at once."""
        earlier = torch.cat([state.last_fed[None], fed[:-1]])
        state.last_fed = fed[-1]
        top = []
        for x_gates in over_time(self.cell_list[0].conv_x, torch.stack([earlier, fed], dim=3)):
            for layer, cell in enumerate(self.cell_list):
                gates = cell.conv_x(state.h[layer - 1]) if layer else x_gates
                state.h[layer], c, state.m = cell(
                    gates, state.h[layer], state.c[layer], state.m, state.history[layer]
                )
                state.history[layer] = torch.cat([state.history[layer], vectors(c)], dim=1)
                state.c[layer] = c
            top.append(state.h[-1])
        return over_time(self.conv_last, torch.stack(top[-1:] if last_only else top)).squeeze(3)


def _both(state: Tensor) -> Tensor:
    """Expand (B, C, 1 or 2, H, W) to (B, C, 2, H, W)."""
    return state.expand(-1, -1, WINDOW, -1, -1)
