"""The selective scan for CPUs by compiled kernels, the fastest back end there.

The forward pass keeps the state at every 16th step; the backward pass recomputes the others. Both
are operators of ``torch.library``, single nodes in the graphs of torch.compile. Tensors are
time-major with the channels innermost: delta, x, y (L, B, G, D); A (G, N, D); B, C (L, B, G, N).
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from predcnn.native import kernels_for, kernels_in_graph, kernels_of
from predcnn.ops.scan_parallel import parallel_scan

CHUNK = 16
"""Steps between kept states, as in the kernel."""
SLAB = 64
"""Channels of one work item of the backward pass."""


def compiled_scan(delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan contiguous tensors; `parallel_scan` if no kernel supports them."""
    inputs = (delta, x, A, B, C)
    if kernels_for(*inputs) is None and not kernels_in_graph(x, gradients=True):
        return parallel_scan(*inputs)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    return scan_op(*inputs, keep)[0]


def _sizes(x: Tensor, A: Tensor) -> tuple[int, int, int, int, int]:
    length, batch, groups, channels = x.shape
    return length, batch, groups, A.shape[1], channels


def _results(x: Tensor, A: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    length, *state = _sizes(x, A)
    return torch.empty_like(x), x.new_empty(-(-length // CHUNK) if keep else 0, *state)


@torch.library.custom_op("predcnn::scan", mutates_args=())
def scan_op(
    delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Compute (y, states (B, G, N, D) at every `CHUNK`-th step, none unless ``keep``)."""
    y, kept = _results(x, A, keep)
    kernels_of(x.dtype)("scan", delta, x, A, B, C, y, kept if keep else None, *_sizes(x, A))
    return y, kept


@torch.library.custom_op("predcnn::scan_backward", mutates_args=())
def scan_backward_op(
    grad_y: Tensor, delta: Tensor, x: Tensor, A: Tensor, B: Tensor, C: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the gradients of delta, x, A, B, C from that of y."""
    slabs = -(-x.shape[3] // SLAB)
    grad_delta, grad_x = torch.empty_like(delta), torch.empty_like(x)
    grad_A = A.new_empty(x.shape[1], *A.shape)  # of every sample
    grad_B, grad_C = B.new_zeros(slabs, *B.shape), C.new_zeros(slabs, *C.shape)
    kernels_of(x.dtype)(
        "scan_backward",
        *(grad_y.contiguous(), delta, x, A, B, C, kept),
        *(grad_delta, grad_x, grad_A, grad_B, grad_C, *_sizes(x, A), slabs),
    )
    return grad_delta, grad_x, grad_A.sum(0), grad_B.sum(0), grad_C.sum(0)


def _setup_context(ctx: FunctionCtx, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(*inputs[:5], output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: FunctionCtx, grad_y: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return (*scan_backward_op(grad_y, *ctx.saved_tensors), None)


scan_op.register_fake(lambda delta, x, A, B, C, keep: _results(x, A, keep))
scan_op.register_autograd(_backward, setup_context=_setup_context)
scan_backward_op.register_fake(lambda *tensors: tuple(map(torch.empty_like, tensors[1:6])))
