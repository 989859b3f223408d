"""S4D block on maps: a diagonal state space model over the pixels in raster order.

Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models", NeurIPS
2022. By default the kernel is two-sided, so that every pixel sees the entire map. The pre-norm
residual layer is that of the S4 repository, the MLP that of the other blocks here.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops import DropPath, TokenMlp
from predcnn.ops.precision import widened, without_autocast
from predcnn.registry import BLOCKS


class S4DKernel(nn.Module):
    """Convolution kernels of diagonal state space models, length -> (channels, length).

    K_l = 2 Re sum_n C_n (exp(dt A_n) - 1) / A_n exp(l dt A_n), zero-order hold.

    Args:
        state: N, even; half of it is stored, the other half is its complex conjugate.
    """

    def __init__(self, channels: int, state: int = 64) -> None:
        super().__init__()
        if state % 2:
            raise ValueError(f"the state comes in conjugate pairs: it must be even, not {state}")
        half = state // 2
        low, high = math.log(1e-3), math.log(0.1)  # range of the initial step sizes
        self.C = nn.Parameter(torch.randn(channels, half, 2) * math.sqrt(0.5))
        self.log_dt = nn.Parameter(torch.rand(channels) * (high - low) + low)
        self.log_A_real = nn.Parameter(torch.full((channels, half), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(half).float().repeat(channels, 1))

    def forward(self, length: int) -> Tensor:
        step = torch.exp(widened(self.log_dt))[:, None]
        A = torch.complex(-torch.exp(widened(self.log_A_real)), widened(self.A_imag))  # (C, N/2)
        exponent = A * step
        weight = torch.view_as_complex(widened(self.C)) * torch.expm1(exponent) / A
        # l = stride * q + r: exponentials of q and of r only, joined by a matrix product
        stride = math.isqrt(length - 1) + 1
        ticks = torch.arange(stride, device=A.device, dtype=step.dtype)
        fine = torch.view_as_real(torch.exp(exponent[..., None] * ticks))
        coarse = torch.exp(exponent[..., None] * (stride * ticks)) * weight[..., None]
        coarse = torch.stack([coarse.real, -coarse.imag], dim=-1)
        # the sum over n and over (real, imaginary) is the real part of the complex product
        coarse = rearrange(coarse, "c n q parts -> c q (n parts)")
        fine = rearrange(fine, "c n r parts -> c (n parts) r")
        return (2 * torch.matmul(coarse, fine)).flatten(1)[:, :length]


class LongConv1d(nn.Module):
    """Convolve every channel of (B, C, L) with a kernel of length L, by FFT, in float32."""

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Convolve with ``kernel``: (C, L) for lags 0, ..., or (C, 2L), where -1, -2, ... wrap."""
        length = x.shape[-1]
        spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        return torch.fft.irfft(spectrum, n=2 * length)[..., :length]

    def true_macs(self, x: tuple[int, ...], kernel: tuple[int, ...]) -> int:
        """Count the sum over all lags; the FFT needs fewer."""
        length = x[-1]
        lags = length * length if kernel[-1] > length else length * (length + 1) // 2
        return math.prod(x[:-1]) * lags


class S4D(nn.Module):
    """S4D layer: convolution, skip, GELU, gated 1x1 convolution, (B, C, L) -> (B, C, L)."""

    def __init__(self, dim: int, state: int = 64, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.bidirectional = bidirectional
        self.D = nn.Parameter(torch.randn(dim))
        self.kernel = S4DKernel(2 * dim if bidirectional else dim, state)
        self.conv = LongConv1d()
        self.output_linear = nn.Sequential(nn.Conv1d(dim, 2 * dim, 1), nn.GLU(dim=-2))

    def forward(self, x: Tensor) -> Tensor:
        return self.output_linear(functional.gelu(self.convolve(x).to(x.dtype)))

    def convolve(self, x: Tensor) -> Tensor:
        """Apply the state space model with its skip D in float32: (B, C, L) -> (B, C, L)."""
        with without_autocast(x):
            x = widened(x)
            kernel = self.kernel(x.shape[-1])
            if self.bidirectional:
                ahead, back = kernel.chunk(2)
                kernel = torch.cat([ahead, back.flip(-1)], dim=-1)
            return self.conv(x, kernel) + widened(self.D)[:, None] * x


@BLOCKS.register("s4d")
class S4DBlock(nn.Module):
    """One S4D block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        mlp_ratio: hidden channels of the MLP, in units of ``dim``; 0 for no MLP.
        state: size N of the state of each channel, even.
        bidirectional: False lets every pixel see only those before it in raster order.
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        state: int = 64,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layer = S4D(dim, state, bidirectional=bidirectional)
        self.norm2 = nn.LayerNorm(dim) if mlp_ratio else None
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio)) if mlp_ratio else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        x = rearrange(x, "b c h w -> b (h w) c")
        y = self.layer(rearrange(self.norm(x), "b n c -> b c n"))
        x = x + self.drop_path(rearrange(y, "b c n -> b n c"))
        if self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return rearrange(x, "b (h w) c -> b c h w", h=height)
