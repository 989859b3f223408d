"""The selective scan by compiled kernels: states kept at every 16th step, the others recomputed.

Layout as in ``predcnn.ops.scan_lean``, whose function this replaces where kernels are there.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from predcnn.native import Kernels

CHUNK = 16
"""Steps between kept states, as in the kernel."""
SLAB = 64
"""Channels of one work item of the backward pass."""


class CompiledScan(torch.autograd.Function):
    """(y (L, B, G, D), last state (B, G, N, D)) from contiguous delta, x, A, B, C."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        delta: Tensor,
        x: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        kernels: Kernels,
    ) -> tuple[Tensor, Tensor]:
        length, batch, groups, channels = x.shape
        states = A.shape[1]
        y, last = torch.empty_like(x), x.new_empty(batch, groups, states, channels)
        kept = None
        if any(ctx.needs_input_grad):
            kept = x.new_empty(-(-length // CHUNK), *last.shape)
        ctx.sizes, ctx.kernels = (length, batch, groups, states, channels), kernels
        kernels("scan", delta, x, A, B, C, y, last, kept, *ctx.sizes)
        ctx.save_for_backward(delta, x, A, B, C, kept)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor | None, ...]:
        inputs, kept = ctx.saved_tensors[:5], ctx.saved_tensors[5]
        delta, x, A, B, C = inputs
        slabs = -(-x.shape[3] // SLAB)
        grad_delta, grad_x = torch.empty_like(delta), torch.empty_like(x)
        grad_A = A.new_empty(x.shape[1], *A.shape)  # of every sample
        grad_B, grad_C = B.new_zeros(slabs, *B.shape), C.new_zeros(slabs, *C.shape)
        ctx.kernels(
            "scan_backward",
            *(grad_y.contiguous(), grad_last.contiguous(), *inputs, kept),
            *(grad_delta, grad_x, grad_A, grad_B, grad_C, *ctx.sizes, slabs),
        )
        return grad_delta, grad_x, grad_A.sum(0), grad_B.sum(0), grad_C.sum(0), None
