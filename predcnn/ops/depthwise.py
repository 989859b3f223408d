"""Depthwise convolution that keeps the size, with fast implementations for CPUs.

The compiled kernel computes the result and both gradients, channels last, for any kernel and
dilation. Without it, the gradient of large kernels is a correlation by FFT, 4 to 50 times faster
than ATen's and as exact; widely dilated kernels run dense on the phases of the map; and memory is
channels last, in which oneDNN computes a 31x31 kernel about 30 times faster.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from predcnn.native import Kernels, kernels_for, plain_wanted
from predcnn.ops.precision import without_autocast

# without compiled kernels
FFT_AREA = 100
"""Taps above which the weight gradient is computed by FFT."""
PHASES_FROM = 3
"""Smallest dilation that is computed phase by phase; it does not pay at 2."""
WIDEST_HALF = 13
"""Wider kernels run in float32 on CPUs: oneDNN does not return from one of 5x21 in bfloat16."""


def depthwise_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, dilation: int = 1
) -> Tensor:
    """Convolve (B, C, H, W), size kept, with weight (C, 1, h, w), h and w odd, and bias (C,)."""
    kernels = kernels_for(x, weight, bias)
    if kernels is not None:
        return _Compiled.apply(x, weight, bias, dilation, kernels)
    if plain_wanted() or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return functional.conv2d(
            x, weight, bias, 1, _padding(weight, dilation), dilation, weight.shape[0]
        )
    wide = x.device.type == "cpu" and weight.shape[3] > WIDEST_HALF
    if wide and (x.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled("cpu")):
        with without_autocast(x):
            wide_bias = None if bias is None else bias.float()
            return depthwise_conv2d(x.float(), weight.float(), wide_bias, dilation)
    if x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        learns = torch.is_grad_enabled() and weight.requires_grad
        if learns and dilation == 1 and weight.shape[2] * weight.shape[3] > FFT_AREA:
            return _ByFFT.apply(x, weight, bias)
        if dilation >= PHASES_FROM:
            return phased(x, weight, bias, dilation)
    return _convolve(x, weight, bias, dilation)


class DepthwiseConv2d(nn.Conv2d):
    """`depthwise_conv2d` of a kernel with odd sides, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int],
        *,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        if not all(k % 2 for k in size):
            raise ValueError(f"a kernel with a centre has odd sides, not {size}")
        padding = tuple(k // 2 * dilation for k in size)
        super().__init__(channels, channels, size, 1, padding, dilation, groups=channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight, self.bias, self.dilation[0])


def pixel_pitch(x: Tensor) -> int | None:
    """Return the stride between adjacent pixels, None unless channels are innermost."""
    B, C, H, W = x.shape
    pitch = x.stride(3) if W > 1 else x.stride(2) if H > 1 else x.stride(0) if B > 1 else C
    wanted = (H * W * pitch, 1, W * pitch, pitch)
    fits = all(n == 1 or s == w for n, s, w in zip(x.shape, x.stride(), wanted, strict=True))
    return pitch if fits and pitch >= C else None


def _laid_out(x: Tensor) -> tuple[Tensor, int]:
    """Return the map with channels last, copied only if necessary, and its pitch."""
    pitch = pixel_pitch(x)
    if pitch is None:
        return x.contiguous(memory_format=torch.channels_last), x.shape[1]
    return x, pitch


def _run(
    kernels: Kernels, x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, flipped: bool
) -> Tensor:
    x, pitch = _laid_out(x)
    weight = weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    out = torch.empty_like(x, memory_format=torch.channels_last)
    B, C, H, W = x.shape
    sizes = (*weight.shape[2:], dilation, int(flipped))
    kernels("depthwise", x, pitch, weight, bias, out, B, H, W, C, *sizes)
    return out


class _Compiled(torch.autograd.Function):
    """Compiled kernel; the gradient of the input is the convolution with the flipped kernel."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        dilation: int,
        kernels: Kernels,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kernels, ctx.dilation = kernels, dilation
        return _run(kernels, x, weight, bias, dilation, flipped=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad, grad_pitch = _laid_out(grad)
        grad_x = grad_weight = grad_bias = None
        if needs_x:
            grad_x = _run(ctx.kernels, grad, weight, None, ctx.dilation, flipped=True)
        if needs_weight or needs_bias:
            x, pitch = _laid_out(x)
            B, C, H, W = x.shape
            grad_weight, grad_bias = x.new_empty(weight.shape), x.new_empty(C)
            ctx.kernels(
                "depthwise_weights",
                *(x, pitch, grad, grad_pitch, grad_weight, grad_bias, B, H, W, C),
                *(*weight.shape[2:], ctx.dilation),
            )
        return grad_x, grad_weight, grad_bias if needs_bias else None, None, None


class _ByFFT(torch.autograd.Function):
    """Convolution whose weight gradient is computed by FFT."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        grad_x = _convolve(grad, weight.flip(2, 3), None) if needs_x else None
        grad_weight = weight_gradient(x, grad, weight.shape[2:]) if needs_weight else None
        return grad_x, grad_weight, grad.sum((0, 2, 3)) if needs_bias else None


def weight_gradient(x: Tensor, grad: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Compute the gradient (C, 1, h, w) of a depthwise kernel by FFT.

    ``grad`` is the gradient of the output, of the shape of ``x``; ``kernel_size`` is (h, w), odd.
    """
    # shifts beyond the map multiply only zeros
    reach = [min(k // 2, size - 1) for k, size in zip(kernel_size, x.shape[2:], strict=True)]
    lengths = [fast_length(n + r) for n, r in zip(x.shape[2:], reach, strict=True)]
    spectrum = torch.fft.rfft2(grad, s=lengths).conj() * torch.fft.rfft2(x, s=lengths)
    correlation = torch.fft.irfft2(spectrum.sum(0), s=lengths)  # (C, shifts), negative ones wrap
    correlation = correlation.roll((reach[0], reach[1]), dims=(1, 2))
    correlation = correlation[:, : 2 * reach[0] + 1, : 2 * reach[1] + 1]
    high, wide = (k // 2 - r for k, r in zip(kernel_size, reach, strict=True))
    return functional.pad(correlation, (wide, wide, high, high)).unsqueeze(1)


def fast_length(least: int) -> int:
    """Return the smallest product of 2, 3 and 5 (each up to 12 times) of at least ``least``."""
    while 30**12 % least:
        least += 1
    return least


def phased(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Compute a dilated depthwise convolution as a dense one on dilation² stacked phases."""
    H, W = x.shape[2:]
    below, right = -H % dilation, -W % dilation
    x = functional.pad(x, (0, right, 0, below))
    phases = rearrange(x, "b c (h i) (w j) -> (i j b) c h w", i=dilation, j=dilation)
    out = _convolve(phases, weight, bias)
    out = rearrange(out, "(i j b) c h w -> b c (h i) (w j)", i=dilation, j=dilation)
    return out[..., :H, :W].contiguous(memory_format=torch.channels_last)


def _padding(weight: Tensor, dilation: int) -> tuple[int, int]:
    return weight.shape[2] // 2 * dilation, weight.shape[3] // 2 * dilation


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    padding = _padding(weight, dilation)
    return functional.conv2d(x, weight, bias, 1, padding, dilation, weight.shape[0])
