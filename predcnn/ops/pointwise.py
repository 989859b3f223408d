"""1x1 convolution; on CPUs as a matrix product over channels-last pixels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.native import plain_wanted


def pointwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """1x1 convolution, (B, C, H, W) -> (B, out, H, W), in the memory layout of ``x``.

    Channels-last maps on a CPU are read as the matrix (B H W, C): of wide maps up to three times as
    fast as ``conv2d`` of the same layout, of narrow ones (64 channels) about as fast. A graph that
    is exported, to run elsewhere, holds the convolution.

    Args:
        weight: (out, C, 1, 1).
        bias: (out,) or None.
    """
    if _is_matrix(x):
        pixels = functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)  # (B, H, W, out)
        return pixels.permute(0, 3, 1, 2)
    return functional.conv2d(x, weight, bias)


def _is_matrix(x: Tensor) -> bool:
    if plain_wanted() or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return False
    return x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)


class PointwiseConv2d(nn.Conv2d):
    """`pointwise_conv2d` with its weights, (B, C, H, W) -> (B, out, H, W)."""

    def __init__(self, dim: int, out: int, *, bias: bool = True) -> None:
        super().__init__(dim, out, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return pointwise_conv2d(x, self.weight, self.bias)
