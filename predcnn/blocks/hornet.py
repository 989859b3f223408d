"""HorNet: recursive gated convolutions, spatial interactions of any order at linear cost.

Rao et al., "HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions",
NeurIPS 2022, https://arxiv.org/abs/2207.14284 (fig. 2, eq. 3-6). Compared with the published code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops.drop_path import DropPath
from predcnn.ops.gated_conv import RecursiveGatedConv
from predcnn.ops.init import init_fan_out, init_trunc_normal
from predcnn.ops.mlp import ConvMlp
from predcnn.ops.norm import LayerNorm2d, LayerScale
from predcnn.registry import BLOCKS


@BLOCKS.register("hornet")
class HorBlock(nn.Module):
    """One HorNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        dim: channels C, divisible by 2 ** (order - 1).
        order: of the interactions; 4 everywhere in video prediction, 2 to 5 by stage on ImageNet.
        scale: of the depthwise convolution; 1 in video prediction, 1/3 on ImageNet.
        global_filter: spectrum (rows, columns) of a global filter in place of the 7x7 depthwise
            convolution, as in the last two stages of HorNet-GF; None for the convolution.
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
        check_dim("hornet", dim, 2 ** (order - 1))
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
