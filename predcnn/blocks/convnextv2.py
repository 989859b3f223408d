"""ConvNeXt V2 block: 7x7 depthwise, LayerNorm, and an MLP with global response normalisation.

Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023,
figure 5.
"""

from torch import Tensor, nn

from predcnn.ops import GRN, DepthwiseConv2d, DropPath, init_trunc_normal
from predcnn.registry import BLOCKS


@BLOCKS.register("convnextv2")
class ConvNeXtV2Block(nn.Module):
    """One ConvNeXt V2 block, (B, C, H, W) -> (B, C, H, W), with GRN instead of a layer scale."""

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.dwconv = DepthwiseConv2d(dim, kernel_size)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.grn = GRN(hidden)
        self.pwconv2 = nn.Linear(hidden, dim)
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.pwconv2(self.grn(self.act(self.pwconv1(self.norm(y)))))
        return x + self.drop_path(y.permute(0, 3, 1, 2))
