"""HorNet: recursive gated convolutions, spatial interactions of any order at linear cost.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, https://arxiv.org/abs/2207.14284 (fig. 2, eq. 3-6, alg. 1). Global filter: Rao et al.,
"Global Filter Networks for Image Classification", NeurIPS 2021. Compared with the reference code.
"""

from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.blocks.protocol import check_dim
from predcnn.ops import ConvMlp, DepthwiseConv2d, DropPath, LayerNorm2d, LayerScale, PointwiseConv2d
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.ops.precision import widened, without_autocast
from predcnn.registry import BLOCKS


class GlobalLocalFilter(nn.Module):
    """Half of the channels through a 3x3 depthwise convolution, half through a learned spectrum.

    (B, C, H, W) -> (B, C, H, W), C even, any H and W: the spectrum is resized if it does not fit.
    The Fourier half runs in float32 also under autocast (half precision has no general FFT).

    Args:
        spectrum: rows and columns of the learned half spectrum; (H, W // 2 + 1) of the usual input.
    """

    def __init__(self, dim: int, spectrum: tuple[int, int]) -> None:
        super().__init__()
        check_dim("the global filter", dim, 2)
        half = dim // 2
        self.dw = DepthwiseConv2d(half, 3, bias=False)
        self.complex_weight = nn.Parameter(torch.empty(half, *spectrum, 2))
        nn.init.trunc_normal_(self.complex_weight, std=0.02)
        self.pre_norm = LayerNorm2d(dim)
        self.post_norm = LayerNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        local, far = self.pre_norm(x).chunk(2, dim=1)
        local = self.dw(local)
        interleaved = torch.stack([local, self._filter(far).to(local.dtype)], dim=2)
        return self.post_norm(interleaved.flatten(1, 2))

    def _filter(self, x: Tensor) -> Tensor:
        with without_autocast(x):
            spectrum = torch.fft.rfft2(widened(x), norm="ortho")
            weight = widened(self.complex_weight)
            if weight.shape[1:3] != spectrum.shape[2:]:
                weight = functional.interpolate(
                    rearrange(weight, "c h w parts -> parts c h w"),
                    size=spectrum.shape[2:],
                    mode="bilinear",
                    align_corners=True,
                )
                weight = rearrange(weight, "parts c h w -> c h w parts")
            spectrum = spectrum * torch.view_as_complex(weight.contiguous())
            return torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho")


class RecursiveGatedConv(nn.Module):
    """Recursive gated convolution (g^n Conv), (B, C, H, W) -> (B, C, H, W).

    Args:
        order: order n of the spatial interactions, at least 2; C is a multiple of 2**(n - 1).
        scale: factor on the depthwise features (1/alpha of the paper).
        global_filter: spectrum size (rows, columns) of a `GlobalLocalFilter` in place of the 7x7
            depthwise convolution; None for the convolution.
    """

    def __init__(
        self, dim: int, order: int, scale: float, global_filter: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        if order < 2:
            raise ValueError(f"a recursive gate has order 2 or more, not {order}")
        check_dim("hornet", dim, 2 ** (order - 1))
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
        self.pws = nn.ModuleList(map(PointwiseConv2d, self.dims[:-1], self.dims[1:]))

    def forward(self, x: Tensor) -> Tensor:
        first, rest = self.proj_in(x).split([self.dims[0], sum(self.dims)], dim=1)
        gates = (self.dwconv(rest) * self.scale).split(self.dims, dim=1)
        x = first * gates[0]
        for widen, gate in zip(self.pws, gates[1:], strict=True):
            x = widen(x) * gate
        return self.proj_out(x)


@BLOCKS.register("hornet")
class HorBlock(nn.Module):
    """One HorNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        order: of the interactions; 4 everywhere in video prediction, 2 to 5 by stage on ImageNet.
        scale: of the depthwise convolution; 1 in video prediction, 1/3 on ImageNet.
        global_filter: see `RecursiveGatedConv`; used in the last two stages of HorNet-GF.
    """

    dim_multiple: ClassVar[int] = 8
    openstl_keys: ClassVar[dict[str, str]] = {
        "scale1.gamma": "gamma1",
        "scale2.gamma": "gamma2",
        "mlp.fc1": "pwconv1",
        "mlp.fc2": "pwconv2",
    }
    openstl_ndim: ClassVar[dict[str, int]] = {"mlp.fc1.weight": 2, "mlp.fc2.weight": 2}

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        order: int = 4,
        scale: float = 1.0,
        layer_scale: float = 1e-6,
        global_filter: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm2d(dim)
        self.gnconv = RecursiveGatedConv(dim, order, scale, global_filter)
        self.scale1 = LayerScale(dim, layer_scale)
        self.norm2 = LayerNorm2d(dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio))
        self.scale2 = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        init_fan_out(self.gnconv)
        init_trunc_normal(self.mlp)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.scale1(self.gnconv(self.norm1(x))))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))
