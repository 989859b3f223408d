"""Selective scans in torch operators, tensors laid out as in ``predcnn.ops.scan_compiled``.

`parallel_scan` is a work-efficient prefix scan of 2 log2(L) steps: Blelloch, "Prefix Sums and Their
Applications", 1990. Pairs compose as (a2, x2) o (a1, x1) = (a2 a1, a2 x1 + x2), without logarithms
of cumulative sums, which overflow for strong decay.
"""

import torch
from torch import Tensor


def _scan_(factors: Tensor, x: Tensor) -> None:
    """x[l] += factors[l] x[l - 1] along the first axis, in place; factors become products."""
    if x.shape[0] < 2:
        return
    even, odd = x[0::2], x[1::2]
    factors_even, factors_odd = factors[0::2], factors[1::2]
    pairs = odd.shape[0]
    odd.addcmul_(factors_odd, even[:pairs])
    factors_odd.mul_(factors_even[:pairs])
    _scan_(factors_odd, odd)
    even[1:].addcmul_(factors_even[1:], odd[: even.shape[0] - 1])


class LinearScan(torch.autograd.Function):
    """h_l = a_l h_{l-1} + x_l along the first axis, h_{-1} = 0; the backward pass is a scan too."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, x: Tensor) -> Tensor:
        h = x.clone()
        _scan_(a.clone(), h)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        # g_l = grad_l + a_{l+1} g_{l+1}: the same scan from the end
        flowing = grad.flip(0)
        _scan_(a.roll(-1, 0).flip(0), flowing)
        flowing = flowing.flip(0)
        before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
        return flowing * before, flowing


def parallel_scan(delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan in 2 log2(L) steps; stores the factors and states of all time steps."""
    a = torch.exp(delta.unsqueeze(-2) * A)  # (L, B, G, N, D)
    states = LinearScan.apply(a, x.unsqueeze(-2) * B.unsqueeze(-1))
    return torch.matmul(C.unsqueeze(-2), states).squeeze(-2)


def doubling_scan(delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan in log2(L) rounds of few operators (Hillis and Steele, CACM 1986), for export."""
    factors = torch.exp(delta.unsqueeze(-2) * A)  # (L, B, G, N, D)
    states, reach = x.unsqueeze(-2) * B.unsqueeze(-1), 1
    while reach < x.shape[0]:
        late = factors[reach:]
        added = torch.addcmul(states[reach:], late, states[:-reach])
        states = torch.cat([states[:reach], added])
        factors = torch.cat([factors[:reach], late * factors[:-reach]])
        reach *= 2
    return torch.matmul(C.unsqueeze(-2), states).squeeze(-2)


def textbook_scan(delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan step by step, as the published code does; also for tests and higher derivatives."""
    factors = torch.exp(torch.einsum("lbgd,gnd->bgdln", delta, A))
    inputs = torch.einsum("lbgd,lbgn->bgdln", x, B)
    h = factors.new_zeros(factors.shape[:3] + factors.shape[4:])  # (B, G, D, N)
    outputs = []
    for step in range(x.shape[0]):
        h = factors[:, :, :, step] * h + inputs[:, :, :, step]
        outputs.append(torch.einsum("bgdn,bgn->bgd", h, C[step]))
    return torch.stack(outputs)
