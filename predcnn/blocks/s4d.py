"""S4D block on maps: a diagonal state space model over the pixels in raster order.

Gu et al., "On the Parameterization and Initialization of Diagonal State Space Models", NeurIPS
2022. The kernel is two-sided by default, so that every pixel sees the whole map; the pre-norm
residual layer is that of the S4 repository, the MLP that of the other blocks here.
"""

from einops import rearrange
from torch import Tensor, nn

from predcnn.ops.drop_path import DropPath
from predcnn.ops.mlp import TokenMlp
from predcnn.ops.state_space import S4D
from predcnn.registry import BLOCKS


@BLOCKS.register("s4d")
class S4DBlock(nn.Module):
    """One S4D block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        mlp_ratio: hidden channels of the MLP, in units of ``dim``; 0 leaves it out.
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
        height, width = x.shape[2:]
        x = rearrange(x, "b c h w -> b (h w) c")
        y = self.layer(self.norm(x).transpose(1, 2))
        x = x + self.drop_path(y.transpose(1, 2))
        if self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return rearrange(x, "b (h w) c -> b c h w", h=height, w=width)
