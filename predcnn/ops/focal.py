"""Focal modulation: every pixel is multiplied by a gated sum of its surroundings at growing scales.

Yang et al., "Focal Modulation Networks", NeurIPS 2022, section 3.2 and figure 2.
"""

from torch import Tensor, nn

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.pointwise import PointwiseConv2d


class FocalModulation(nn.Module):
    """Query times the gated sum of focal contexts, channels last: (B, H, W, C) -> (B, H, W, C).

    Level l looks through a depthwise kernel of ``window + 2 l``; the last context is the
    mean of the whole map.

    Args:
        levels: number of depthwise contexts L.
        window: kernel of the first level, odd.
    """

    def __init__(self, dim: int, levels: int = 2, window: int = 3) -> None:
        super().__init__()
        kernels = [window + 2 * level for level in range(levels)]
        self.sizes = [dim, dim, levels + 1]
        self.f = nn.Linear(dim, 2 * dim + levels + 1)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(DepthwiseConv2d(dim, k, bias=False), nn.GELU()) for k in kernels
        )
        self.act = nn.GELU()
        self.h = PointwiseConv2d(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.f(x).permute(0, 3, 1, 2)
        query, context, gates = x.split(self.sizes, dim=1)
        gates = gates.split(1, dim=1)  # (B, 1, H, W) each
        total = 0
        for layer, gate in zip(self.focal_layers, gates[:-1], strict=True):
            context = layer(context)
            total = total + context * gate
        everywhere = self.act(context.mean(dim=(2, 3), keepdim=True))
        total = total + everywhere * gates[-1]
        return self.proj((query * self.h(total)).permute(0, 2, 3, 1))
