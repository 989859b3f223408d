"""Recursive gated convolution: high-order spatial interactions by alternating gates and 1x1 maps.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, section 3.1 and algorithm 1; global filter after Rao et al., "Global Filter Networks
for Image Classification", NeurIPS 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.norm import LayerNorm2d
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.ops.precision import widened, without_autocast


class GlobalLocalFilter(nn.Module):
    """Half of the channels through a 3x3 depthwise convolution, half through a learned spectrum.

    (B, C, H, W) -> (B, C, H, W), any H and W: the spectrum is resized when it does not fit. The
    Fourier half runs in float32 also under autocast (half precision has no general FFT).

    Args:
        dim: channels C, even.
        spectrum: rows and columns of the learned half spectrum; (H, W // 2 + 1) of the usual input.
    """

    def __init__(self, dim: int, spectrum: tuple[int, int]) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"the global filter halves its channels: dim must be even, not {dim}")
        half = dim // 2
        self.dw = DepthwiseConv2d(half, 3, bias=False)
        self.complex_weight = nn.Parameter(torch.empty(half, *spectrum, 2))
        nn.init.trunc_normal_(self.complex_weight, std=0.02)
        self.pre_norm = LayerNorm2d(dim)
        self.post_norm = LayerNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        local, far = self.pre_norm(x).chunk(2, dim=1)
        local = self.dw(local)
        far = self._filter(far).to(local.dtype)
        mixed = torch.stack([local, far], dim=2)  # (B, C/2, 2, H, W): interleaved channels
        return self.post_norm(mixed.flatten(1, 2))

    def _filter(self, x: Tensor) -> Tensor:
        with without_autocast(x):
            spectrum = torch.fft.rfft2(widened(x), norm="ortho")
            weight = widened(self.complex_weight)
            if weight.shape[1:3] != spectrum.shape[2:]:
                planes = weight.permute(3, 0, 1, 2)  # (2, C/2, h, w)
                planes = functional.interpolate(
                    planes, size=spectrum.shape[2:], mode="bilinear", align_corners=True
                )
                weight = planes.permute(1, 2, 3, 0)
            spectrum = spectrum * torch.view_as_complex(weight.contiguous())
            return torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho")


class RecursiveGatedConv(nn.Module):
    """Recursive gated convolution (g^n Conv), (B, C, H, W) -> (B, C, H, W).

    Args:
        dim: channels C, a multiple of 2**(order - 1).
        order: order n of the spatial interactions, at least 2.
        scale: factor on the depthwise features (1/alpha of the paper).
        global_filter: spectrum size (rows, columns) of a :class:`GlobalLocalFilter` in place of the
            7x7 depthwise convolution; None for the convolution.
    """

    def __init__(
        self,
        dim: int,
        order: int = 5,
        scale: float = 1.0,
        global_filter: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if order < 2:
            raise ValueError(f"a recursive gate has order 2 or more, not {order}")
        if dim % 2 ** (order - 1):
            raise ValueError(
                f"order {order} halves the width {order - 1} times: dim must be a multiple of "
                f"{2 ** (order - 1)}, not {dim}"
            )
        self.scale = scale
        # widths of the successive gates: C/2^(n-1), ..., C/2, C
        self.dims = [dim // 2**i for i in reversed(range(order))]
        gates = sum(self.dims)
        self.proj_in = PointwiseConv2d(dim, 2 * dim)
        if global_filter is None:
            self.dwconv = DepthwiseConv2d(gates, 7)
        else:
            self.dwconv = GlobalLocalFilter(gates, global_filter)
        self.proj_out = PointwiseConv2d(dim, dim)
        self.pws = nn.ModuleList(
            PointwiseConv2d(narrow, wide)
            for narrow, wide in zip(self.dims[:-1], self.dims[1:], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        first, rest = self.proj_in(x).split([self.dims[0], sum(self.dims)], dim=1)
        gates = (self.dwconv(rest) * self.scale).split(self.dims, dim=1)
        x = first * gates[0]
        for widen, gate in zip(self.pws, gates[1:], strict=True):
            x = widen(x) * gate
        return self.proj_out(x)
