"""Reference steps of the LSTMs on patches: one step and one gate at a time.

Each function takes a predictor and returns a step, input (B, C, H, W) -> prediction; the closure
holds the states. The weights are the predictor's, the formulas are those of the published code.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Step = Callable[[Tensor], Tensor]


def _zeros(net: nn.Module, x: Tensor) -> list[Tensor]:
    return [x.new_zeros(len(x), n, *x.shape[-2:]) for n in net.shape.hidden]


def convlstm(net: nn.Module) -> Step:
    """ConvLSTM."""
    h: list[Tensor] = []
    c: list[Tensor] = []

    def step(x: Tensor) -> Tensor:
        if not h:
            h.extend(_zeros(net, x))
            c.extend(_zeros(net, x))
        for k, cell in enumerate(net.cell_list):
            i_x, f_x, g_x, o_x = cell.conv_x(x).chunk(4, dim=1)
            i_h, f_h, g_h, o_h = cell.conv_h(h[k]).chunk(4, dim=1)
            i, f = torch.sigmoid(i_x + i_h), torch.sigmoid(f_x + f_h)
            c[k] = f * c[k] + i * torch.tanh(g_x + g_h)
            h[k] = torch.sigmoid(o_x + o_h) * torch.tanh(c[k])
            x = h[k]
        return net.conv_last(x)

    return step


def st_lstm(
    cell: nn.Module, x: Tensor, h: Tensor, c: Tensor, m: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One spatiotemporal LSTM cell -> h, c, m, and what was added to c and m."""
    i_x, f_x, g_x, i_xm, f_xm, g_xm, o_x = cell.conv_x(x).chunk(7, dim=1)
    i_h, f_h, g_h, o_h = cell.conv_h(h).chunk(4, dim=1)
    i_m, f_m, g_m = cell.conv_m(m).chunk(3, dim=1)
    i, f = torch.sigmoid(i_x + i_h), torch.sigmoid(f_x + f_h + 1.0)
    delta_c = i * torch.tanh(g_x + g_h)
    c = f * c + delta_c
    i, f = torch.sigmoid(i_xm + i_m), torch.sigmoid(f_xm + f_m + 1.0)
    delta_m = i * torch.tanh(g_xm + g_m)
    m = f * m + delta_m
    memory = torch.cat((c, m), 1)
    o = torch.sigmoid(o_x + o_h + cell.conv_o(memory))
    return o * torch.tanh(cell.conv_last(memory)), c, m, delta_c, delta_m


def predrnn(net: nn.Module) -> Step:
    """PredRNN; for PredRNN-V2 also the decoupling of every step, in ``step.decoupling``."""
    h: list[Tensor] = []
    c: list[Tensor] = []
    memory: list[Tensor] = []
    found: list[Tensor] = []

    def decouple(delta_c: Tensor, delta_m: Tensor) -> None:
        delta_c = functional.normalize(net.adapter(delta_c).flatten(2), dim=2)
        delta_m = functional.normalize(net.adapter(delta_m).flatten(2), dim=2)
        found.append((delta_c * delta_m).sum(2).abs().mean())

    def step(x: Tensor) -> Tensor:
        if not h:
            h.extend(_zeros(net, x))
            c.extend(_zeros(net, x))
            memory.append(h[0])
        for k, cell in enumerate(net.cell_list):
            h[k], c[k], memory[0], delta_c, delta_m = st_lstm(cell, x, h[k], c[k], memory[0])
            if hasattr(net, "adapter"):
                decouple(delta_c, delta_m)
            x = h[k]
        return net.conv_last(x)

    step.decoupling = found
    return step


def predrnnpp(net: nn.Module) -> Step:
    """PredRNN++."""
    h: list[Tensor] = []
    c: list[Tensor] = []
    memory: list[Tensor] = []  # m, z

    def cell_step(cell: nn.Module, x: Tensor, k: int) -> None:
        i_x, f_x, g_x, i_xm, f_xm, g_xm, o_x = cell.conv_x(x).chunk(7, dim=1)
        i_h, f_h, g_h, o_h = cell.conv_h(h[k]).chunk(4, dim=1)
        i_c, f_c, g_c = cell.conv_c(c[k]).chunk(3, dim=1)
        i, f = torch.sigmoid(i_x + i_h + i_c), torch.sigmoid(f_x + f_h + f_c + 1.0)
        c[k] = f * c[k] + i * torch.tanh(g_x + g_h + g_c)
        i_m, f_m, m_m = cell.conv_m(memory[0]).chunk(3, dim=1)
        i_c, g_c, f_c, o_c = cell.conv_c2m(c[k]).chunk(4, dim=1)
        i, f = torch.sigmoid(i_xm + i_m + i_c), torch.sigmoid(f_xm + f_m + f_c + 1.0)
        memory[0] = f * torch.tanh(m_m) + i * torch.tanh(g_xm + g_c)
        o = torch.tanh(o_x + o_h + o_c + cell.conv_om(memory[0]))
        h[k] = o * torch.tanh(cell.conv_last(torch.cat((c[k], memory[0]), 1)))

    def step(x: Tensor) -> Tensor:
        if not h:
            h.extend(_zeros(net, x))
            c.extend(_zeros(net, x))
            memory.extend((h[0], h[0]))
        cell_step(net.cell_list[0], x, 0)
        highway = net.gradient_highway
        p_x, u_x = highway.x_concat(h[0]).chunk(2, dim=1)
        p_z, u_z = highway.z_concat(memory[1]).chunk(2, dim=1)
        p, u = torch.tanh(p_x + p_z), torch.sigmoid(u_x + u_z)
        memory[1] = u * p + (1 - u) * memory[1]
        for k, cell in enumerate(net.cell_list[1:], start=1):
            cell_step(cell, memory[1] if k == 1 else h[k - 1], k)
        return net.conv_last(h[-1])

    return step


def _peephole(cell: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The inner recurrence of MIM -> h, c."""
    i_h, g_h, f_h, o_h = cell.conv_h_concat(h).chunk(4, dim=1)
    i_x, g_x, f_x, o_x = cell.conv_x_concat(x).chunk(4, dim=1)
    i_c, f_c = (c.repeat(1, 2, 1, 1) * cell.ct_weight).chunk(2, dim=1)
    i, f = torch.sigmoid(i_x + i_h + i_c), torch.sigmoid(f_x + f_h + f_c + 1.0)
    c = f * c + i * torch.tanh(g_x + g_h)
    return torch.sigmoid(o_x + o_h + c * cell.oc_weight) * torch.tanh(c), c


def mim(net: nn.Module) -> Step:
    """MIM, its states in the forward pass."""
    layers = len(net.stlstm_layer)
    state: dict[str, list[Tensor]] = {}

    def block_step(block: nn.Module, x: Tensor, diff: Tensor, k: int) -> None:
        h, c, m = state["h"][k], state["c"][k], state["m"][0]
        i_t, g_t, o_t = block.conv_t_cc(h).chunk(3, dim=1)
        i_s, g_s, f_s, o_s = block.conv_s_cc(m).chunk(4, dim=1)
        i_x, g_x, f_x, o_x = block.conv_x_cc(x).chunk(4, dim=1)
        m = torch.sigmoid(f_x + f_s + 1.0) * m + torch.sigmoid(i_x + i_s) * torch.tanh(g_x + g_s)
        kept, state["s"][k] = _peephole(block, diff, c, state["s"][k])
        c = kept + torch.sigmoid(i_x + i_t) * torch.tanh(g_x + g_t)
        o = torch.sigmoid(o_x + o_t + o_s)
        state["h"][k] = o * torch.tanh(block.conv_last(torch.cat((c, m), 1)))
        state["c"][k], state["m"][0] = c, m

    def step(x: Tensor) -> Tensor:
        first = not state
        if first:
            names = ("h", "c", "s", "diff_h", "diff_c", "m")
            state.update({name: _zeros(net, x)[:layers] for name in names})
        before = state["h"][0]
        state["h"][0], state["c"][0], state["m"][0], _, _ = st_lstm(
            net.stlstm_layer[0], x, before, state["c"][0], state["m"][0]
        )
        difference = state["h"][0] - before
        for k, block in enumerate(net.stlstm_layer[1:], start=1):
            if first:
                difference = torch.zeros_like(before)
            else:
                difference, state["diff_c"][k] = _peephole(
                    net.stlstm_layer_diff[k - 1], difference, state["diff_h"][k], state["diff_c"][k]
                )
                state["diff_h"][k] = difference
            block_step(block, state["h"][k - 1], state["diff_h"][k], k)
        return net.conv_last(state["h"][-1])

    return step


def e3dlstm(net: nn.Module) -> Step:
    """E3D-LSTM with 3-D convolutions over windows of two frames."""
    h: list[Tensor] = []
    c: list[Tensor] = []
    history: list[Tensor] = []
    memory: list[Tensor] = []  # m, the last frame

    def gates(part: nn.Module, x: Tensor, count: int) -> tuple[Tensor, ...]:
        kernel = part[0].conv3d.weight
        out = functional.conv3d(x, kernel, padding=(0, kernel.shape[3] // 2, kernel.shape[4] // 2))
        return out.repeat_interleave(2, dim=2).chunk(count, dim=1)

    def recall(r: Tensor, past: Tensor, shape: torch.Size) -> Tensor:
        queries = r.reshape(len(r), -1, r.shape[1])
        scores = torch.bmm(queries, past.transpose(1, 2)).softmax(-1)
        return torch.bmm(scores, past).reshape(shape)

    def cell_step(cell: nn.Module, x: Tensor, k: int) -> None:
        i_x, g_x, r_x, o_x, i_mx, g_mx, f_mx = gates(cell.conv_x, x, 7)
        i_h, g_h, r_h, o_h = gates(cell.conv_h, h[k], 4)
        recalled = recall(torch.sigmoid(r_x + r_h), history[k], c[k].shape)
        new = cell.norm_c(c[k] + recalled)
        c[k] = new + torch.sigmoid(i_x + i_h) * torch.tanh(g_x + g_h)
        i_m, f_m, g_m, m_m = gates(cell.conv_gm, memory[0], 4)
        m = torch.sigmoid(i_mx + i_m) * torch.tanh(g_mx + g_m)
        m = m + torch.sigmoid(f_mx + f_m + 1.0) * torch.tanh(m_m)
        (from_c,), (from_m,) = gates(cell.conv_new_cell, c[k], 1), gates(cell.conv_new_gm, m, 1)
        o = torch.sigmoid(torch.tanh(o_x + o_h + from_c + from_m))
        both = functional.conv3d(torch.cat((c[k], m), 1), cell.conv_last.weight.unsqueeze(2))
        h[k], memory[0] = o * torch.tanh(both), m
        history[k] = torch.cat((history[k], c[k].reshape(len(c[k]), -1, c[k].shape[1])), 1)

    def step(x: Tensor) -> Tensor:
        if not h:
            zeros = [zero.unsqueeze(2).repeat(1, 1, 2, 1, 1) for zero in _zeros(net, x)]
            h.extend(zeros)
            c.extend(zeros)
            history.extend(zero.reshape(len(zero), -1, zero.shape[1]) for zero in zeros)
            memory.extend((zeros[0], torch.zeros_like(x)))
        below, memory[1] = torch.stack((memory[1], x), 2), x
        for k, cell in enumerate(net.cell_list):
            cell_step(cell, below, k)
            below = h[k]
        return functional.conv3d(below, net.conv_last.conv3d.weight).squeeze(2)

    return step
