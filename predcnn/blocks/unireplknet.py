"""UniRepLKNet block: dilated re-parameterised kernel, squeeze-excitation, MLP with GRN.

Ding et al., "UniRepLKNet: A Universal Perception Large-Kernel ConvNet for Audio, Video,
Point Cloud, Time-Series and Image Recognition", CVPR 2024, section 3.1 and figure 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.ops import GRN, DepthwiseConv2d, DropPath, PointwiseConv2d, absorb_, init_trunc_normal
from predcnn.ops.fold import affine_of, fold_norm_into_previous
from predcnn.registry import BLOCKS

# kernel -> (kernel, dilation) of the parallel branches, as in the reference code
DILATED_BRANCHES = {
    5: ((3, 1), (3, 2)),
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}


class DilatedReparamConv(nn.Module):
    """k x k depthwise + BN, plus the `DILATED_BRANCHES` of k + BN, (B, C, H, W) kept."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size not in DILATED_BRANCHES:
            listed = ", ".join(map(str, DILATED_BRANCHES))
            raise ValueError(f"no dilated branches for kernel {kernel_size}; accepted: {listed}")
        self.names = [f"k{kernel}_{rate}" for kernel, rate in DILATED_BRANCHES[kernel_size]]
        self.lk_origin = DepthwiseConv2d(channels, kernel_size, bias=False)
        self.origin_bn = nn.BatchNorm2d(channels)
        for name, (kernel, rate) in zip(self.names, DILATED_BRANCHES[kernel_size], strict=True):
            conv = DepthwiseConv2d(channels, kernel, dilation=rate, bias=False)
            self.add_module(f"dil_conv_{name}", conv)
            self.add_module(f"dil_bn_{name}", nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.lk_origin.bias is not None:
            return self.lk_origin(x)
        out = self.origin_bn(self.lk_origin(x))
        for name in self.names:
            out = out + getattr(self, f"dil_bn_{name}")(getattr(self, f"dil_conv_{name}")(x))
        return out

    def merge_(self) -> None:
        """Merge all into one k x k depthwise convolution ``lk_origin`` with a bias, in place."""
        if self.lk_origin.bias is not None:
            return
        fold_norm_into_previous(self.lk_origin, self.origin_bn)
        del self.origin_bn
        for name in self.names:
            conv = getattr(self, f"dil_conv_{name}")
            fold_norm_into_previous(conv, getattr(self, f"dil_bn_{name}"))
            absorb_(self.lk_origin, conv)
            delattr(self, f"dil_conv_{name}")
            delattr(self, f"dil_bn_{name}")


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
