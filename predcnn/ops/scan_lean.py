"""The sequential selective scan for CPUs: keeps the states, recomputes the factors, in place.

Recurrence, per sample, group, state n and channel d:  h_l = exp(delta_l A) h_{l-1} + x_l B_l and
y_l = sum_n C_l h_l  (Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State
Spaces", 2023, equation 2 with the zero-order hold of A).

Tensors are time-major with the channels innermost, so that every step is one fused in-place
operation on contiguous memory: delta, x, y (L, B, G, D); A (G, N, D); B, C (L, B, G, N); states
(L, B, G, N, D). Factors exist for a few steps at a time. With compiled
kernels the same is done by these. The two functions are operators of
``torch.library``: torch.compile sees one node, not L steps.
"""

import torch
from torch import Tensor

from predcnn.native import kernels_for
from predcnn.ops.scan_compiled import CompiledScan

# values of a buffer of factors (1 MB in float32): two of them stay in the cache of one core
CHUNK = 2**18


def _steps(x: Tensor, A: Tensor) -> int:
    """Time steps whose factors are held at once."""
    per_step = x[0].numel() * A.shape[1]
    return min(x.shape[0], max(1, CHUNK // max(1, per_step)))


@torch.library.custom_op("predcnn::lean_scan", mutates_args=())
def lean_scan_op(
    delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(y, last state (B, G, N, D), all states; empty unless ``keep``)."""
    length, state = x.shape[0], (*x.shape[1:3], A.shape[1], x.shape[3])
    steps = _steps(x, A)
    states = x.new_empty((length if keep else 0, *state))
    rows_of_chunk = x.new_empty((0 if keep else steps, *state))
    factors_of_chunk = x.new_empty((steps, *state))
    y = torch.empty_like(x)
    last = x.new_zeros(state)
    for start in range(0, length, steps):
        chunk = slice(start, min(start + steps, length))
        count = chunk.stop - start
        rows = states[chunk] if keep else rows_of_chunk[:count]
        factors = factors_of_chunk[:count]
        torch.mul(delta[chunk].unsqueeze(-2), A, out=factors).exp_()
        torch.mul(x[chunk].unsqueeze(-2), B[chunk].unsqueeze(-1), out=rows)
        h = last
        for row, factor in zip(rows.unbind(0), factors.unbind(0), strict=True):
            h = row.addcmul_(factor, h)
        last = h.clone()
        y[chunk] = torch.matmul(C[chunk].unsqueeze(-2), rows).squeeze(-2)
    return y, last, states


@lean_scan_op.register_fake
def _lean_scan_shapes(
    delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    state = (*x.shape[1:3], A.shape[1], x.shape[3])
    states = x.new_empty((x.shape[0] if keep else 0, *state))
    return torch.empty_like(x), x.new_empty(state), states


@torch.library.custom_op("predcnn::lean_scan_backward", mutates_args=())
def lean_scan_backward_op(
    grad_y: Tensor,
    grad_last: Tensor,
    delta: Tensor,
    x: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of delta, x, A, B, C, from those of y and of the last state."""
    length, steps = x.shape[0], _steps(x, A)
    factors_of_chunk = x.new_empty((steps, *states.shape[1:]))
    grads_of_chunk = torch.empty_like(factors_of_chunk)
    grad_delta, grad_x, grad_A = torch.empty_like(x), torch.empty_like(x), torch.zeros_like(A)
    grad_B, grad_C = torch.empty_like(B), torch.empty_like(C)
    carry = grad_last  # what the later steps pass back to the state of this one
    for start in reversed(range(0, length, steps)):
        chunk = slice(start, min(start + steps, length))
        factors = factors_of_chunk[: chunk.stop - start]
        grads = grads_of_chunk[: chunk.stop - start]
        torch.mul(delta[chunk].unsqueeze(-2), A, out=factors).exp_()
        torch.mul(grad_y[chunk].unsqueeze(-2), C[chunk].unsqueeze(-1), out=grads)
        later = grads[-1].add_(carry)
        pairs = zip(reversed(grads.unbind(0)[:-1]), reversed(factors.unbind(0)[1:]), strict=True)
        for grad, factor in pairs:
            later = grad.addcmul_(factor, later)
        grad_C[chunk] = torch.matmul(states[chunk], grad_y[chunk].unsqueeze(-1)).squeeze(-1)
        grad_B[chunk] = torch.matmul(grads, x[chunk].unsqueeze(-1)).squeeze(-1)
        grad_x[chunk] = torch.matmul(B[chunk].unsqueeze(-2), grads).squeeze(-2)
        through = factors.mul_(grads)
        carry = through[0].clone()
        if start:
            through.mul_(states[start - 1 : chunk.stop - 1])
        else:
            through[1:].mul_(states[: chunk.stop - 1])
            through[0].zero_()
        # from here ``through`` is the gradient of the exponent delta A; grads is free
        torch.sum(torch.mul(through, A, out=grads), dim=-2, out=grad_delta[chunk])
        torch.mul(through, delta[chunk].unsqueeze(-2), out=grads)
        grad_A.add_(grads.sum(dim=(0, 1)))
    return grad_delta, grad_x, grad_A, grad_B, grad_C


@lean_scan_backward_op.register_fake
def _lean_scan_backward_shapes(
    grad_y: Tensor,
    grad_last: Tensor,
    delta: Tensor,
    x: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grads = [torch.empty_like(t) for t in (x, x, A, B, C)]
    return grads[0], grads[1], grads[2], grads[3], grads[4]


def _setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(*inputs[:5], output[2])
    ctx.mark_non_differentiable(output[2])


def _backward(
    ctx: torch.autograd.function.FunctionCtx, grad_y: Tensor, grad_last: Tensor, _: Tensor
) -> tuple[Tensor | None, ...]:
    grads = lean_scan_backward_op(grad_y.contiguous(), grad_last, *ctx.saved_tensors)
    return (*grads, None)


lean_scan_op.register_autograd(_backward, setup_context=_setup_context)


def lean_scan(delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """(y (L, B, G, D), last state (B, G, N, D)) of contiguous float tensors, differentiable."""
    inputs = (delta, x, A, B, C)
    kernels = kernels_for(*inputs)
    if kernels is not None:
        return CompiledScan.apply(*inputs, kernels)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    y, last, _ = lean_scan_op(*inputs, keep)
    return y, last
