"""Group norm and SiLU in one pass over memory, with the pixel shuffle before them."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from predcnn.native import Kernels, kernels_for, kernels_in_graph

WIDE = 32
"""Minimum channels for the kernel in a compiled graph; with fewer the compiler is as fast."""


def group_norm_silu(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, *, upscale: int = 1
) -> Tensor:
    """Compute SiLU(GroupNorm(PixelShuffle(x))), (B, C r², H, W) -> (B, C, H r, W r), r = upscale.

    The compiled kernel supports channels-last maps and r of 1 (no shuffle) or 2. It reads x twice
    and writes the result, where three operators read and write seven times, and saves only x for
    the backward pass.
    """
    kernels = kernels_for(x, weight, bias) if upscale <= 2 else None
    if kernels is not None and x.is_contiguous(memory_format=torch.channels_last):
        return _Compiled.apply(x, weight, bias, (groups, upscale), eps, kernels)
    if upscale <= 2 and x.ndim == 4 and len(weight) >= WIDE and kernels_in_graph(x):
        x = x.contiguous(memory_format=torch.channels_last)
        return group_norm_silu_in_graph(x, weight, bias, groups, eps, upscale)
    if upscale > 1:
        x = functional.pixel_shuffle(x, upscale)
    return functional.silu(functional.group_norm(x, groups, weight, bias, eps))


@torch.library.custom_op("predcnn::group_norm_silu", mutates_args=())
def group_norm_silu_in_graph(
    x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, upscale: int
) -> Tensor:
    """Compute `group_norm_silu` without gradients, as one operator of a compiled graph."""
    out = group_norm_silu(x, weight, bias, groups, eps, upscale=upscale)
    return out.contiguous(memory_format=torch.channels_last)


def _empty_result(x: Tensor, channels: int, upscale: int) -> Tensor:
    B, _, H, W = x.shape
    size = (B, channels, H * upscale, W * upscale)
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


group_norm_silu_in_graph.register_fake(
    lambda x, weight, bias, groups, eps, upscale: _empty_result(x, len(weight), upscale)
)


class _Compiled(torch.autograd.Function):
    """Forward and backward pass by compiled kernels; the backward pass recomputes SiLU."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        how: tuple[int, int],
        eps: float,
        kernels: Kernels,
    ) -> Tensor:
        groups, r = how
        B, wide, H, W = x.shape
        out = _empty_result(x, wide // r**2, r)
        mean, rstd = x.new_empty(B, groups), x.new_empty(B, groups)
        weight, bias = weight.contiguous(), bias.contiguous()
        ctx.sizes, ctx.kernels = (B, H, W, out.shape[1], groups, r), kernels
        kernels("group_norm_silu", x, weight, bias, out, mean, rstd, *ctx.sizes, float(eps))
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x = torch.empty_like(x)
        of_samples = x.new_empty(2, len(x), len(weight))
        given = (grad, x, weight, bias, mean, rstd)
        ctx.kernels("group_norm_silu_backward", *given, grad_x, *of_samples, *ctx.sizes)
        grad_weight, grad_bias = of_samples.sum(1)
        return grad_x, grad_weight, grad_bias, None, None, None
