"""ViT: global self-attention over the pixels of a map, and an MLP.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, https://arxiv.org/abs/2010.11929
(fig. 1). Compared with OpenSTL's code.
"""

from typing import ClassVar

from einops import rearrange
from torch import Tensor, nn

from predcnn.blocks.protocol import check_dim
from predcnn.ops import DropPath, TokenMlp, init_trunc_normal
from predcnn.ops.attention import MultiHeadAttention, sincos_position_2d
from predcnn.registry import BLOCKS


@BLOCKS.register("vit")
class ViTBlock(nn.Module):
    """One pre-norm transformer block over the H * W pixels, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        position: True adds fixed 2-D sines to the input of the attention; False, as in OpenSTL,
            gives no position, so that the block commutes with permutations of the pixels.
    """

    dim_multiple: ClassVar[int] = 8

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        heads: int = 8,
        position: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_dim("vit", dim, self.dim_multiple)
        self.position = position
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        _, dim, height, width = x.shape
        x = rearrange(x, "b c h w -> b (h w) c")
        y = self.norm1(x)
        if self.position:
            y = y + sincos_position_2d(dim, height, width, device=x.device).to(y.dtype)
        x = x + self.drop_path(self.attn(y))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return rearrange(x, "b (h w) c -> b c h w", h=height, w=width)
