"""UniRepLKNet block: dilated re-parameterised kernel, squeeze-excitation, MLP with GRN.

Ding et al., "UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video,
Point Cloud, Time-Series and Image Recognition", CVPR 2024, figure 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.drop_path import DropPath
from predcnn.ops.fold import affine_of, fold_norm_into_previous
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.large_kernel import DilatedReparamConv
from predcnn.ops.norm import GRN
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.registry import BLOCKS


class SqueezeExcitation(nn.Module):
    """Scale channels by a function of their means over the map, (B, C, H, W) is kept."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.down = PointwiseConv2d(dim, hidden)
        self.up = PointwiseConv2d(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.up(functional.relu(self.down(mean))))


class ChannelsLastBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the last dimension, (B, H, W, C) -> (B, H, W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@BLOCKS.register("unireplknet")
class UniRepLKNetBlock(nn.Module):
    """One UniRepLKNet block, (B, C, H, W) -> (B, C, H, W).

    Args (others: see `predcnn.blocks.protocol`):
        kernel_size: of the depthwise part: 3 for one convolution (the paper's SmaK block), 5 to 17
            with dilated branches (its LarK block).
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        kernel_size: int = 13,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        if kernel_size == 3:
            self.dwconv = DepthwiseConv2d(dim, 3, bias=False)
        else:
            self.dwconv = DilatedReparamConv(dim, kernel_size)
        self.norm = nn.BatchNorm2d(dim)
        self.se = SqueezeExcitation(dim, max(1, dim // 4))
        # indices as in the reference code, where 0 is a permutation without parameters
        self.pwconv1 = nn.Sequential(nn.Identity(), nn.Linear(dim, hidden))
        self.act = nn.Sequential(nn.GELU(), GRN(hidden))
        self.pwconv2 = nn.Sequential(
            nn.Linear(hidden, dim, bias=False), nn.Identity(), ChannelsLastBatchNorm(dim)
        )
        self.gamma: nn.Parameter | None = nn.Parameter(torch.full((dim,), layer_scale))
        self.drop_path = DropPath(drop_path)
        init_trunc_normal(self)

    @staticmethod
    def depth_options(index: int, changes_width: bool) -> dict[str, int]:
        """Return the own options of the ``index``-th block of a stack: 13 and 3 alternate."""
        return {"kernel_size": 3 if index % 2 else 13}

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(self.norm(self.dwconv(x))).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.pwconv2(self.act(self.pwconv1(y)))
        if self.gamma is not None:
            y = self.gamma * y
        return x + self.drop_path(y.permute(0, 3, 1, 2))

    @torch.no_grad()
    def merge_(self) -> None:
        """Fold branches, both norms, the layer scale and GRN's bias, in place."""
        if self.gamma is None:
            return
        spatial = self.dwconv
        if isinstance(spatial, DilatedReparamConv):
            spatial.merge_()
            spatial = spatial.lk_origin
        self.norm = fold_norm_into_previous(spatial, self.norm)
        beta, last, norm = self.act[1].beta.flatten(), self.pwconv2[0], self.pwconv2[2]
        scale, shift = affine_of(norm)
        # the last linear layer turns GRN's bias into its own
        bias = self.gamma * (scale * (last.weight.double() @ beta.double()) + shift)
        last.weight.mul_((self.gamma * scale)[:, None])
        last.bias = nn.Parameter(bias.to(last.weight.dtype))
        self.act[1].beta = None
        self.pwconv2 = nn.Sequential(last)
        self.gamma = None
