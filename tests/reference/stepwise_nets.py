"""Reference steps of the other recurrent networks: encoders and decoders inside the loop.

As in `tests.reference.stepwise_lstm`: a predictor -> a step, input (B, C, H, W) -> prediction.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.windows import join, partition, separated
from predcnn.predictors.dmvfn import warp
from tests.reference.stepwise_lstm import Step


def phydnet(net: nn.Module) -> Step:
    """PhyDNet; both branches are encoded and decoded at every step."""
    physical: list[Tensor] = []
    states: list[tuple[Tensor, Tensor]] = []

    def step(x: Tensor) -> Tensor:
        z = net.encode(x)
        if not physical:
            physical.append(torch.zeros_like(z))
            for cell in net.convcell:
                zero = z.new_zeros(len(z), cell.dim, *z.shape[-2:])
                states.append((zero, zero))
        cell, h = net.phycell, physical[0]
        z_p = net.encode_physical(z)
        gain = torch.sigmoid(cell.convgate(torch.cat([z_p, h], dim=1)))
        predicted = h + cell.F(h)
        physical[0] = predicted + gain * (z_p - predicted)
        z_r = net.encode_residual(z)
        for k, cell in enumerate(net.convcell):
            h, c = states[k]
            i, f, o, g = cell.conv(torch.cat([z_r, h], dim=1)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            z_r = torch.sigmoid(o) * torch.tanh(c)
            states[k] = (z_r, c)
        return torch.sigmoid(
            net.decode(net.decode_physical(physical[0]) + net.decode_residual(z_r))
        )

    return step


def mau(net: nn.Module) -> Step:
    """MAU."""
    past_t: list[list[Tensor]] = []
    past_s: list[list[Tensor]] = []

    def cell_step(cell: nn.Module, s: Tensor, k: int) -> Tensor:
        t, tau = past_t[k][-1], net.tau
        s_next, t_next = cell.conv_s_next(s), cell.conv_t_next(t)
        scores = [(old * s_next).sum(dim=(1, 2, 3)) / s[0].numel() ** 0.5 for old in past_s[k]]
        weights = torch.softmax(torch.stack(scores), dim=0)
        trend = sum(w[:, None, None, None] * old for w, old in zip(weights, past_t[k], strict=True))
        gate = torch.sigmoid(t_next)
        fused = t * gate + (1 - gate) * trend
        t_g, t_t, t_s = cell.conv_t(fused).chunk(3, dim=1)
        s_g, s_t, s_s = cell.conv_s(s).chunk(3, dim=1)
        t_gate, s_gate = torch.sigmoid(t_g), torch.sigmoid(s_g)
        past_t[k] = [*past_t[k], t_gate * t_t + (1 - t_gate) * s_t][-tau:]
        past_s[k] = [*past_s[k], s][-tau:]
        new = s_gate * s_s + (1 - s_gate) * t_s
        return new + s if cell.residual else new

    def step(x: Tensor) -> Tensor:
        encoded = []
        for encoder in net.encoders:
            x = encoder(x)
            encoded.append(x)
        if not past_t:
            for _ in net.cell_list:
                past_t.append([torch.zeros_like(x)] * net.tau)
                past_s.append([torch.zeros_like(x)] * net.tau)
        for k, cell in enumerate(net.cell_list):
            x = cell_step(cell, x, k)
        for k, decoder in enumerate(net.decoders):
            x = decoder(x)
            if net.recall:
                x = x + encoded[-2 - k]
        return net.srcnn(x)

    return step


def _window_attention(block: nn.Module, x: Tensor, masks: dict) -> Tensor:
    """Attention within (shifted) windows of a map (B, H, W, C), every product written out.

    Masks are made once per size and kept, as in the reference code.
    """
    size, attn, (B, H, W, C) = block.window_size, block.attn, x.shape
    shift = block.shift if min(H, W) > size else 0
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    tokens = partition(x, size)
    n = len(tokens)
    qkv = attn.qkv(tokens).reshape(n, size * size, 3, attn.heads, C // attn.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    scores = (q * (C // attn.heads) ** -0.5) @ k.transpose(-2, -1)
    bias = attn.offset_bias[attn.offset_index.view(-1)].view(size**2, size**2, attn.heads)
    scores = scores + bias.permute(2, 0, 1).contiguous()
    if shift:
        if (H, W) not in masks:
            apart = separated((H, W), (H, W), size, shift, x.device, seam=True)
            masks[H, W] = apart.to(scores.dtype) * -100.0
        scores = scores.view(B, n // B, attn.heads, size**2, size**2)
        scores = scores + masks[H, W][None, :, None]
        scores = scores.view(n, attn.heads, size**2, size**2)
    tokens = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, size * size, C)
    x = join(attn.proj(tokens), size, H, W)
    return torch.roll(x, (shift, shift), (1, 2)) if shift else x


def _swin_block(block: nn.Module, x: Tensor, other: Tensor | None, masks: dict) -> Tensor:
    y = block.norm1(x)
    if other is not None:
        y = block.red(torch.cat((y, block.norm1(other)), -1))
    x = x + _window_attention(block, y, masks)
    return x + block.mlp(block.norm2(x))


def swinlstm(net: nn.Module) -> Step:
    """SwinLSTM-D."""
    states: list[tuple[Tensor, Tensor]] = []
    masks: dict[tuple[int, int], Tensor] = {}

    def step(x: Tensor) -> Tensor:
        x, resize = net.embed(x), (*net.shrink, *net.grow)
        cells = (*net.down, *net.up)
        for k, cell in enumerate(cells):
            if len(states) == k:
                states.append((torch.zeros_like(x), torch.zeros_like(x)))
            h, c = states[k]
            o = _swin_block(cell.blocks[0], x, h, masks)
            for index, block in enumerate(cell.blocks[1:], start=1):
                o = _swin_block(block, o, x if index % 2 == 0 else None, masks)
            forget = torch.sigmoid(o)
            c = forget * (c + torch.tanh(o))
            h = forget * torch.tanh(c)
            states[k] = (h, c)
            x = resize[k](h)
        return torch.sigmoid(net.readout(x.permute(0, 3, 1, 2)))

    return step


def vmrnn(net: nn.Module) -> Step:
    """VMRNN-B and -D."""
    states: list[tuple[Tensor, Tensor]] = []

    def block(part: nn.Module, x: Tensor, other: Tensor | None = None) -> Tensor:
        y = part.norm(x)
        if other is not None:
            y = part.fuse(torch.cat((y, part.norm(other)), -1))
        return x + part.op(y)

    def step(x: Tensor) -> Tensor:
        x, resize = net.embed(x), (*net.shrink, *net.grow)
        for k, cell in enumerate((*net.down, *net.up)):
            if len(states) == k:
                states.append((torch.zeros_like(x), torch.zeros_like(x)))
            h, c = states[k]
            o = block(cell.blocks[0], x, h)
            for part in cell.blocks[1:]:
                o = block(part, o)
            forget = torch.sigmoid(o)
            c = forget * (c + torch.tanh(o))
            h = forget * torch.tanh(c)
            states[k] = (h, c)
            x = resize[k](h)
        return torch.sigmoid(net.readout(net.inflate(x.permute(0, 3, 1, 2))))

    return step


def prednet(net: nn.Module) -> Step:
    """PredNet; each gate is a convolution of its own."""
    r: list[Tensor] = []
    c: list[Tensor] = []
    ahat: list[Tensor] = []
    layers = len(net.stack)

    def down(errors: list[Tensor]) -> None:
        for k in reversed(range(layers)):
            parts = [r[k], errors[k]]
            if k < layers - 1:
                parts.append(functional.interpolate(r[k + 1], scale_factor=2))
            joined = torch.cat(parts, 1)
            i = functional.hardtanh(net.i[k](joined) * 0.2 + 0.5, 0, 1)
            f = functional.hardtanh(net.f[k](joined) * 0.2 + 0.5, 0, 1)
            o = functional.hardtanh(net.o[k](joined) * 0.2 + 0.5, 0, 1)
            c[k] = f * c[k] + i * torch.tanh(net.c[k](joined))
            r[k] = o * torch.tanh(c[k])
        ahat[:] = [functional.relu(conv(state)) for conv, state in zip(net.Ahat, r, strict=True)]
        ahat[0] = torch.clamp(ahat[0], max=net.pixel_max)

    def step(x: Tensor) -> Tensor:
        if not r:
            B, _, H, W = x.shape
            r.extend(x.new_zeros(B, n, H >> k, W >> k) for k, n in enumerate(net.r_stack))
            c.extend(r)
            down([x.new_zeros(B, 2 * n, H >> k, W >> k) for k, n in enumerate(net.stack)])
        errors = []
        for k in range(layers):
            above, below = functional.relu(ahat[k] - x), functional.relu(x - ahat[k])
            errors.append(torch.cat((above, below), 1))
            if k < layers - 1:
                x = functional.max_pool2d(functional.relu(net.A[k](errors[k])), 2)
        down(errors)
        return ahat[0]

    return step


def dmvfn(net: nn.Module) -> Step:
    """DMVFN; every block of every step is computed, its route multiplies its result."""
    last: list[Tensor] = []

    def step(x: Tensor) -> Tensor:
        first, last[:] = (last[0] if last else x), [x]
        routes = net.routes(first, x)
        B, _, H, W = x.shape
        flow, mask = x.new_zeros(B, 4, H, W), x.new_zeros(B, 1, H, W)
        warped = (first, x)
        merged = x
        for k, block in enumerate(net.stu):
            seen = torch.cat((first, x, *warped, mask), 1)
            d_flow, d_mask = block(seen, flow)
            use = routes[:, k].reshape(-1, 1, 1, 1)
            flow, mask = flow + d_flow * use, mask + d_mask * use
            warped = (warp(first, flow[:, :2]), warp(x, flow[:, 2:]))
            share = torch.sigmoid(mask)
            merged = torch.clamp(warped[0] * share + warped[1] * (1 - share), 0, 1)
        return merged

    return step
