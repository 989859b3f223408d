"""Convolution with norm, activation and optional resampling."""

from torch import Tensor, nn

from predcnn.ops.norm_act import group_norm_silu
from predcnn.ops.winograd import WinogradConv2d


class ConvNormAct(nn.Module):
    """Convolution, group norm of 2 groups, SiLU; optionally halves or doubles the size.

    (B, C_in, H, W) -> (B, C_out, H', W'), H' = H, ceil(H / 2) for ``down``, 2 H for ``up`` (4 C_out
    channels and a pixel shuffle); C_out is even. Weights start at trunc_normal(0.02), biases at 0.
    SimVP's unit: Gao et al. 2022, https://arxiv.org/abs/2206.05099 (sec. 3.2).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        down: bool = False,
        up: bool = False,
    ) -> None:
        super().__init__()
        stride, out = 2 if down else 1, out_channels * 4 if up else out_channels
        padding = (kernel_size - stride + 1) // 2
        self.conv = WinogradConv2d(in_channels, out, kernel_size, stride=stride, padding=padding)
        nn.init.trunc_normal_(self.conv.weight, std=0.02)
        nn.init.zeros_(self.conv.bias)
        self.upscale = 2 if up else 1
        self.norm = nn.GroupNorm(2, out_channels)
        self.openstl_keys = {"conv": "conv.conv.0" if up else "conv.conv", "norm": "conv.norm"}

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        return group_norm_silu(
            self.conv(x), norm.weight, norm.bias, norm.num_groups, norm.eps, upscale=self.upscale
        )
