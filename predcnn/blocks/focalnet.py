"""FocalNet block: focal modulation in the place of self-attention.

Yang et al., "Focal Modulation Networks", NeurIPS 2022, section 3.3.
"""

from torch import Tensor, nn

from predcnn.ops.drop_path import DropPath
from predcnn.ops.focal import FocalModulation
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.mlp import TokenMlp
from predcnn.ops.norm import LayerScale
from predcnn.registry import BLOCKS


@BLOCKS.register("focalnet")
class FocalNetBlock(nn.Module):
    """One FocalNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        levels: focal levels; 2 is the paper's small receptive field, 3 its large one.
        window: kernel of the first level, odd.
        post_norm: normalise after the modulation and the MLP instead of before.
        layer_scale: initial scale of both residual branches; None for no scale.
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        levels: int = 2,
        window: int = 3,
        post_norm: bool = False,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.post_norm = post_norm
        self.norm1 = nn.LayerNorm(dim)
        self.modulation = FocalModulation(dim, levels, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = TokenMlp(dim, int(dim * mlp_ratio))
        self.scale1 = _scale(dim, layer_scale)
        self.scale2 = _scale(dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                init_trunc_normal(layer)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = x + self.drop_path(self.scale1(self._branch(x, self.norm1, self.modulation)))
        x = x + self.drop_path(self.scale2(self._branch(x, self.norm2, self.mlp)))
        return x.permute(0, 3, 1, 2)

    def _branch(self, x: Tensor, norm: nn.Module, part: nn.Module) -> Tensor:
        return norm(part(x)) if self.post_norm else part(norm(x))


def _scale(dim: int, initial: float | None) -> nn.Module:
    return nn.Identity() if initial is None else LayerScale(dim, initial, channels_last=True)
