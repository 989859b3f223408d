"""FocalNet block: every pixel is multiplied by a gated sum of its surroundings at growing scales.

Yang et al., "Focal Modulation Networks", NeurIPS 2022, section 3 and figure 2.
"""

from torch import Tensor, nn

from predcnn.ops import DepthwiseConv2d, DropPath, LayerScale, PointwiseConv2d, TokenMlp
from predcnn.ops.init import init_trunc_normal
from predcnn.registry import BLOCKS


class FocalModulation(nn.Module):
    """Query times the gated sum of focal contexts, channels last: (B, H, W, C) -> (B, H, W, C).

    Level l has a depthwise kernel of ``window + 2 l``; the last context is the mean of the map.
    """

    def __init__(self, dim: int, levels: int, window: int) -> None:
        super().__init__()
        self.sizes = [dim, dim, levels + 1]
        self.f = nn.Linear(dim, sum(self.sizes))
        self.focal_layers = nn.ModuleList(
            nn.Sequential(DepthwiseConv2d(dim, window + 2 * level, bias=False), nn.GELU())
            for level in range(levels)
        )
        self.act = nn.GELU()
        self.h = PointwiseConv2d(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, context, gates = self.f(x).permute(0, 3, 1, 2).split(self.sizes, dim=1)
        gates = gates.split(1, dim=1)  # (B, 1, H, W) each
        total = 0
        for layer, gate in zip(self.focal_layers, gates[:-1], strict=True):
            context = layer(context)
            total = total + context * gate
        total = total + self.act(context.mean(dim=(2, 3), keepdim=True)) * gates[-1]
        return self.proj((query * self.h(total)).permute(0, 2, 3, 1))


@BLOCKS.register("focalnet")
class FocalNetBlock(nn.Module):
    """One FocalNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        levels: number of depthwise contexts; 2 is the paper's small receptive field, 3 its large.
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
        init_trunc_normal(self, kinds=nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = x + self.drop_path(self.scale1(self._branch(x, self.norm1, self.modulation)))
        x = x + self.drop_path(self.scale2(self._branch(x, self.norm2, self.mlp)))
        return x.permute(0, 3, 1, 2)

    def _branch(self, x: Tensor, norm: nn.Module, part: nn.Module) -> Tensor:
        return norm(part(x)) if self.post_norm else part(norm(x))


def _scale(dim: int, initial: float | None) -> nn.Module:
    return nn.Identity() if initial is None else LayerScale(dim, initial, channels_last=True)
