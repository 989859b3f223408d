"""ConvNeXt: a 7x7 depthwise convolution and an MLP of every pixel.

Liu et al., "A ConvNet for the 2020s", CVPR 2022, https://arxiv.org/abs/2201.03545 (fig. 4).
Compared with the reference code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops import ConvMlp, DepthwiseConv2d, DropPath, LayerNorm2d, LayerScale, init_fan_out
from predcnn.registry import BLOCKS


@BLOCKS.register("convnext")
class ConvNeXtBlock(nn.Module):
    """One ConvNeXt block, (B, C, H, W) -> (B, C, H, W)."""

    openstl_keys: ClassVar[dict[str, str]] = {"depthwise": "conv_dw", "scale.gamma": "gamma"}

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 7,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(dim, kernel_size)
        self.norm = LayerNorm2d(dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio))
        self.scale = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.scale(self.mlp(self.norm(self.depthwise(x)))))
