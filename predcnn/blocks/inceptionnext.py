"""InceptionNeXt block: depthwise convolution split into identity, square and two bands.

Yu et al., "InceptionNeXt: When Inception Meets ConvNeXt", CVPR 2024, section 3.2 and algorithm 1.
"""

import torch
from torch import Tensor, nn

from predcnn.ops import ConvMlp, DepthwiseConv2d, DropPath, fold_norm_into_next, init_trunc_normal
from predcnn.registry import BLOCKS


class InceptionDepthwise(nn.Module):
    """Identity, square, horizontal band, vertical band, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, dim: int, square: int, band: int, branch_ratio: float) -> None:
        super().__init__()
        part = max(1, int(dim * branch_ratio))
        if 3 * part > dim:
            raise ValueError(f"three branches of {part} channels do not fit into {dim}")
        self.sizes = [dim - 3 * part, part, part, part]
        self.dwconv_hw = DepthwiseConv2d(part, square)
        self.dwconv_w = DepthwiseConv2d(part, (1, band))
        self.dwconv_h = DepthwiseConv2d(part, (band, 1))

    def forward(self, x: Tensor) -> Tensor:
        same, hw, w, h = x.split(self.sizes, dim=1)
        return torch.cat([same, self.dwconv_hw(hw), self.dwconv_w(w), self.dwconv_h(h)], dim=1)


@BLOCKS.register("inceptionnext")
class InceptionNeXtBlock(nn.Module):
    """One InceptionNeXt block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        dim: channels C, at least 3.
        band: long side of the bands, odd.
        branch_ratio: share of the channels of each of the three kernels (at least one channel).
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        square: int = 3,
        band: int = 11,
        branch_ratio: float = 0.125,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        self.token_mixer = InceptionDepthwise(dim, square, band, branch_ratio)
        self.norm = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp(dim, int(dim * mlp_ratio))
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.token_mixer(x)))
        return x + self.drop_path(self.gamma.view(-1, 1, 1) * y)

    def merge_(self) -> None:
        """Fold the BatchNorm into the 1x1 convolution after it, in place."""
        self.norm = fold_norm_into_next(self.norm, self.mlp.fc1)
