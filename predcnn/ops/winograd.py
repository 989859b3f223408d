"""3x3 convolution that keeps the size; without gradients, on CPUs, by Winograd's algorithm.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
https://arxiv.org/abs/1509.09308 (sec. 4.3): F(4x4, 3x3) multiplies 36 times for 16 pixels, the sum
over taps 144 times. In float32 its error is about 6e-6 of the largest value, that of the sum 1e-6:
negligible for predictions, but not for gradients, which may be differences of large numbers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.native import Kernels, kernels_for, kernels_in_graph

FEWEST_CHANNELS = 32
"""With fewer, transforming the tiles costs as much as the products save."""
MOST_WEIGHTS = 1 << 15
"""In times out channels; the transformed weights, four times the taps, must fit into the cache."""
FEWEST_TILES = 128
"""Of 4x4 pixels in a batch; with fewer, transforming the weights does not pay."""


class WinogradConv2d(nn.Conv2d):
    """``nn.Conv2d`` that uses Winograd's algorithm under ``torch.no_grad`` where it is faster.

    It is faster for channels-last float32 maps on a CPU with the compiled kernels, also inside
    ``torch.compile``, whose result is then channels-last. Values that are not finite spread over
    their tile of 4x4 pixels.
    """

    def forward(self, x: Tensor) -> Tensor:
        exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()
        if not (exporting or torch.is_grad_enabled()) and self._pays(x):
            if kernels_in_graph(x):
                # the compiler chooses memory formats and fuses this into the step before
                x = x.contiguous(memory_format=torch.channels_last)
                return convolve(x, self.weight, self.bias)
            kernels = kernels_for(x, self.weight, self.bias)
            if kernels is not None and x.is_contiguous(memory_format=torch.channels_last):
                return _run(kernels, x, self.weight, self.bias)
        return super().forward(x)

    def _pays(self, x: Tensor) -> bool:
        how = (self.kernel_size, self.stride, self.padding, self.dilation, self.groups)
        fits = how == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and self.padding_mode == "zeros"
        wide = min(self.in_channels, self.out_channels) >= FEWEST_CHANNELS
        if not (fits and wide and self.in_channels * self.out_channels <= MOST_WEIGHTS):
            return False
        if x.device.type != "cpu" or x.dtype != torch.float32 or x.ndim != 4:
            return False
        B, C, H, W = x.shape
        return self.in_channels == C and -(-H // 4) * -(-W // 4) * B >= FEWEST_TILES


@torch.library.custom_op("predcnn::winograd_conv2d", mutates_args=())
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve without gradients, (B, C, H, W) -> (B, out, H, W) channels-last."""
    C, out = x.shape[1], len(weight)
    fits = C > 0 and weight.shape == (out, C, 3, 3) and (bias is None or bias.shape == (out,))
    kernels = kernels_for(x, weight, bias) if fits else None
    if kernels is None:
        result = functional.conv2d(x, weight, bias, padding=1)
        return result.contiguous(memory_format=torch.channels_last)
    return _run(kernels, x.contiguous(memory_format=torch.channels_last), weight, bias)


def _run(kernels: Kernels, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    B, C, H, W = x.shape
    taps = weight.permute(2, 3, 1, 0).contiguous()  # (3, 3, C, out)
    bias = None if bias is None else bias.contiguous()
    result = _channels_last(x, len(weight))
    kernels("winograd", x, taps, bias, result, B, H, W, C, len(weight))
    return result


def _channels_last(x: Tensor, out: int) -> Tensor:
    size = (len(x), out, *x.shape[2:])
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


convolve.register_fake(lambda x, weight, bias: _channels_last(x, len(weight)))
