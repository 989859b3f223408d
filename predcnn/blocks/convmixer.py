"""ConvMixer: mix space with a large depthwise convolution, then channels with a 1x1.

Trockman and Kolter, "Patches Are All You Need?", 2022, https://arxiv.org/abs/2201.09792 (fig. 2,
eq. 2-3). Compared with OpenSTL's code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops import DepthwiseConv2d, DropPath, PointwiseConv2d, init_fan_out
from predcnn.registry import BLOCKS


@BLOCKS.register("convmixer")
class ConvMixerBlock(nn.Module):
    """One ConvMixer block, (B, C, H, W) -> (B, C, H, W); no residual around the 1x1.

    Args (others: see `predcnn.blocks.protocol`):
        mlp_ratio: not used, the block has no hidden layer.
        stochastic_depth: apply ``drop_path``, which OpenSTL's code ignores.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "depthwise": "conv_dw",
        "norm1": "norm_1",
        "pointwise": "conv_pw",
        "norm2": "norm_2",
    }

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 11,
        stochastic_depth: bool = False,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(dim, kernel_size)
        # equal to the default padding, but as in OpenSTL: its cost tables omit such convolutions
        self.depthwise.padding = "same"
        self.norm1 = nn.BatchNorm2d(dim)
        self.pointwise = PointwiseConv2d(dim, dim)
        self.norm2 = nn.BatchNorm2d(dim)
        self.act = nn.GELU()
        self.drop_path = DropPath(drop_path if stochastic_depth else 0.0)
        init_fan_out(self)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.norm1(self.act(self.depthwise(x))))
        return self.norm2(self.act(self.pointwise(x)))
