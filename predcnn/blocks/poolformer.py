"""PoolFormer: average pooling instead of attention.

Yu et al., "MetaFormer Is Actually What You Need for Vision", CVPR 2022,
https://arxiv.org/abs/2111.11418 (fig. 2, alg. 1). Compared with the reference code.
"""

from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops import ConvMlp, DropPath, LayerScale, init_trunc_normal
from predcnn.registry import BLOCKS


@BLOCKS.register("poolformer")
class PoolFormerBlock(nn.Module):
    """One PoolFormer block, (B, C, H, W) -> (B, C, H, W)."""

    openstl_keys: ClassVar[dict[str, str]] = {
        "scale1.gamma": "layer_scale_1",
        "scale2.gamma": "layer_scale_2",
    }

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        pool_size: int = 3,
        layer_scale: float = 1e-5,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)
        self.pool = nn.AvgPool2d(
            pool_size, stride=1, padding=pool_size // 2, count_include_pad=False
        )
        self.scale1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.GroupNorm(1, dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio))
        self.scale2 = LayerScale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self.mlp)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.drop_path(self.scale1(self.pool(y) - y))
        return x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))
