"""HorNet: recursive gated convolutions, spatial interactions of any order at linear cost.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, https://arxiv.org/abs/2207.14284 (fig. 2, eq. 3-6). Compared with the published code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops.drop_path import DropPath
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.ops.mlp import ConvMlp
from predcnn.ops.norm import LayerNorm2d, LayerScale
from predcnn.registry import BLOCKS


class RecursiveGatedConv(nn.Module):
    """gnConv: widen and multiply with the neighbourhood ``order`` times, (B, C, H, W) kept (eq. 5).

    Args:
        dim: channels C, divisible by 2 ** (order - 1).
        order: number of multiplications.
        scale: factor on the depthwise convolution's result.
    """

    def __init__(self, dim: int, order: int = 4, scale: float = 1.0) -> None:
        super().__init__()
        self.widths = tuple(dim // 2**i for i in reversed(range(order)))
        self.scale = scale
        self.proj_in = nn.Conv2d(dim, 2 * dim, 1)
        total = sum(self.widths)
        self.depthwise = nn.Conv2d(total, total, 7, padding=3, groups=total)
        self.widen = nn.ModuleList(
            nn.Conv2d(narrow, wide, 1)
            for narrow, wide in zip(self.widths, self.widths[1:], strict=False)
        )
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        p, q = self.proj_in(x).split((self.widths[0], sum(self.widths)), dim=1)
        q = self.depthwise(q)
        if self.scale != 1.0:
            q = q * self.scale
        first, *others = q.split(self.widths, dim=1)
        p = p * first
        for widen, other in zip(self.widen, others, strict=True):
            p = widen(p) * other
        return self.proj_out(p)


@BLOCKS.register("hornet")
class HorBlock(nn.Module):
    """One HorNet block, (B, C, H, W) -> (B, C, H, W).

    Args:
        dim: channels C, divisible by 2 ** (order - 1).
        mlp_ratio: hidden channels of the feed-forward part, in units of ``dim``.
        drop_path: probability of skipping a residual branch of a sample.
        resolution: (H, W) of the input; not used, the block is fully convolutional.
        order: of the interactions; 4 everywhere in video prediction, 2 to 5 by stage on ImageNet.
        scale: of the depthwise convolution; 1 in video prediction, 1/3 on ImageNet.
        layer_scale: initial factor of both residual branches.
    """

    dim_multiple: ClassVar[int] = 8
    openstl_keys: ClassVar[dict[str, str]] = {
        "scale1.gamma": "gamma1",
        "scale2.gamma": "gamma2",
        "gnconv.depthwise": "gnconv.dwconv",
        "gnconv.widen": "gnconv.pws",
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
    ) -> None:
        super().__init__()
        check_dim("hornet", dim, 2 ** (order - 1))
        self.norm1 = LayerNorm2d(dim)
        self.gnconv = RecursiveGatedConv(dim, order, scale)
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
