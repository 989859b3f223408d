"""MogaNet: gated aggregation of several spatial orders, then of channels.

Li et al., "MogaNet: Multi-order Gated Aggregation Network", ICLR 2024,
https://arxiv.org/abs/2211.03295 (fig. 4, eq. 5-9). Compared with the reference code.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops import ConvMlp, DepthwiseConv2d, LayerScale, PointwiseConv2d, init_fan_out
from predcnn.ops.spatial_attention import SpatialAttentionBlock
from predcnn.registry import BLOCKS


class FeatureDecomposition(nn.Module):
    """Amplify the difference from the mean: x + sigma (x - mean), (B, C, H, W) is kept (eq. 5)."""

    def __init__(self, dim: int, init_value: float) -> None:
        super().__init__()
        self.sigma = LayerScale(dim, init_value)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sigma(x - x.mean((2, 3), keepdim=True))


class ChannelDecomposition(nn.Module):
    """Amplify the difference from a shared channel, (B, C, H, W) is kept (eq. 9)."""

    def __init__(self, dim: int, init_value: float) -> None:
        super().__init__()
        self.shared = PointwiseConv2d(dim, 1)
        self.act = nn.GELU()
        self.sigma = LayerScale(dim, init_value)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sigma(x - self.act(self.shared(x)))


class MultiOrderContext(nn.Module):
    """Depthwise 5x5 of all channels, then 5x5 dilated by 2 of 3/8 and 7x7 dilated by 3 of 1/2.

    (B, C, H, W) -> (B, C, H, W), C divisible by 8 (eq. 6).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widths = (dim // 8, 3 * dim // 8, dim // 2)
        middle, high = self.widths[1:]
        self.low = DepthwiseConv2d(dim, 5)
        self.middle = DepthwiseConv2d(middle, 5, dilation=2)
        self.high = DepthwiseConv2d(high, 7, dilation=3)
        self.mix = PointwiseConv2d(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        low, middle, high = self.low(x).split(self.widths, dim=1)
        return self.mix(torch.cat([low, self.middle(middle), self.high(high)], dim=1))


class MultiOrderGatedAggregation(nn.Module):
    """Gate times multi-order context, with its own shortcut; (B, C, H, W) is kept (eq. 7)."""

    def __init__(self, dim: int, *, sigma: float, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.proj_in = PointwiseConv2d(dim, dim)
        self.decompose = FeatureDecomposition(dim, sigma)
        self.act = nn.SiLU()
        self.gate = PointwiseConv2d(dim, dim)
        self.context = MultiOrderContext(dim)
        self.proj_out = PointwiseConv2d(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.decompose(self.proj_in(x)))
        y = self.proj_out(self.act(self.gate(y)) * self.act(self.context(y)))
        return x + y if self.shortcut else y


@BLOCKS.register("moganet")
class MogaBlock(SpatialAttentionBlock):
    """One MogaNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        layer_scale: initial factor of both residual branches and of both decompositions.
        inner_shortcut: shortcut around the aggregation, inside its branch, as in the reference.
    """

    dim_multiple: ClassVar[int] = 8
    openstl_keys: ClassVar[dict[str, str]] = {
        **SpatialAttentionBlock.openstl_keys,
        "attn.decompose.sigma.gamma": "attn.sigma",
        "attn.context.low": "attn.value.DW_conv0",
        "attn.context.middle": "attn.value.DW_conv1",
        "attn.context.high": "attn.value.DW_conv2",
        "attn.context.mix": "attn.value.PW_conv",
        "mlp.middle.sigma.gamma": "mlp.sigma",
        "mlp.middle.shared": "mlp.decompose",
        "mlp.depthwise": "mlp.dwconv",
    }
    openstl_ndim: ClassVar[dict[str, int]] = dict.fromkeys(
        ("scale1.gamma", "scale2.gamma", "attn.decompose.sigma.gamma", "mlp.middle.sigma.gamma"), 4
    )
    openstl_aliases: ClassVar[dict[str, str]] = {
        "attn.sigma.scale": "attn.sigma",
        "mlp.sigma.scale": "mlp.sigma",
    }

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        layer_scale: float = 1e-5,
        inner_shortcut: bool = True,
    ) -> None:
        check_dim("moganet", dim, self.dim_multiple)
        hidden = int(dim * mlp_ratio)
        attn = MultiOrderGatedAggregation(dim, sigma=layer_scale, shortcut=inner_shortcut)
        middle = ChannelDecomposition(hidden, layer_scale)
        mlp = ConvMlp(dim, hidden, depthwise=3, middle=middle)
        super().__init__(dim, attn, mlp, drop_path=drop_path, layer_scale=layer_scale)
        init_fan_out(self)
