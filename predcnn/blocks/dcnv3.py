"""InternImage block: deformable convolution v3 instead of self-attention.

Wang et al., "InternImage: Exploring Large-Scale Vision Foundation Models with Deformable
Convolutions", CVPR 2023, section 3 and figure 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from einops.layers.torch import Rearrange
from torch import Tensor, nn
from torch.nn import functional

from predcnn.blocks.protocol import check_dim
from predcnn.ops import DepthwiseConv2d, DropPath, TokenMlp, init_trunc_normal
from predcnn.ops.deform import deformable_sampling
from predcnn.registry import BLOCKS


@dataclass(frozen=True)
class Sampling:
    """Options of deformable convolutions v3 and v4."""

    # channel groups with separate offsets and weights; None for groups of 16 channels
    groups: int | None = None
    kernel_size: int = 3  # of the sampling, odd
    # of the depthwise convolution before offsets and weights; None (v4 only) for none
    dw_kernel_size: int | None = None
    offset_scale: float = 1.0  # factor on taps and offsets
    remove_center: bool = False  # leave out the middle tap

    @property
    def points(self) -> int:
        """Taps of each group."""
        return self.kernel_size**2 - self.remove_center

    def groups_of(self, dim: int) -> int:
        """Return the number of groups; raise ValueError if ``dim`` cannot be divided into them."""
        check_dim("a deformable convolution", dim, 16 if self.groups is None else self.groups)
        return dim // 16 if self.groups is None else self.groups

    def sample(self, value: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Sample (B, H, W, C) at offsets (B, H, W, G P 2) with weights (B, H, W, G P)."""
        return deformable_sampling(
            value,
            offset,
            mask,
            kernel_size=self.kernel_size,
            groups=self.groups_of(value.shape[-1]),
            offset_scale=self.offset_scale,
            remove_center=self.remove_center,
        )


def init_projections(zero: Sequence[nn.Linear], xavier: Sequence[nn.Linear]) -> None:
    """Initialise the layers of a deformable convolution; all biases at 0."""
    for layer in (*zero, *xavier):
        (nn.init.zeros_ if layer in zero else nn.init.xavier_uniform_)(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class DCNv3(nn.Module):
    """Deformable convolution v3, channels last: (B, H, W, C) -> (B, H, W, C).

    ``center_feature_scale`` blends the result with the projected input by a learned gate per group.
    """

    def __init__(self, dim: int, sampling: Sampling, *, center_feature_scale: bool = False) -> None:
        super().__init__()
        self.sampling = sampling
        self.groups = groups = sampling.groups_of(dim)
        self.dw_conv = nn.Sequential(
            DepthwiseConv2d(dim, sampling.dw_kernel_size),
            nn.Sequential(Rearrange("b c h w -> b h w c"), nn.LayerNorm(dim, eps=1e-6)),
            nn.GELU(),
        )
        self.offset = nn.Linear(dim, 2 * groups * sampling.points)
        self.mask = nn.Linear(dim, groups * sampling.points)
        self.input_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        if center_feature_scale:
            self.center_feature_scale_proj_weight = nn.Parameter(torch.zeros(groups, dim))
            self.center_feature_scale_proj_bias = nn.Parameter(torch.zeros(groups))
        self.center_feature_scale = center_feature_scale
        init_projections(zero=(self.offset, self.mask), xavier=(self.input_proj, self.output_proj))

    def forward(self, x: Tensor) -> Tensor:
        value = self.input_proj(x)
        context = self.dw_conv(x.permute(0, 3, 1, 2))
        mask = rearrange(self.mask(context), "b h w (g p) -> b h w g p", g=self.groups)
        mask = rearrange(mask.softmax(-1), "b h w g p -> b h w (g p)")
        y = self.sampling.sample(value, self.offset(context), mask)
        if self.center_feature_scale:
            gate = functional.linear(
                context, self.center_feature_scale_proj_weight, self.center_feature_scale_proj_bias
            )
            gate = torch.sigmoid(gate).repeat_interleave(x.shape[-1] // self.groups, dim=-1)
            y = y * (1 - gate) + value * gate
        return self.output_proj(y)


class DeformableBlock(nn.Module):
    """Two residual branches, deformable convolution and MLP: (B, C, H, W) -> (B, C, H, W).

    Args:
        post_norm: normalise the results of the branches instead of their inputs.
        res_post_norm: normalise both.
        layer_scale: initial scale of both branches; None for no scale.
    """

    dim_multiple: ClassVar[int] = 16

    def __init__(
        self,
        dim: int,
        dcn: nn.Module,
        mlp: nn.Module,
        drop_path: float,
        post_norm: bool,
        res_post_norm: bool,
        layer_scale: float | None,
    ) -> None:
        super().__init__()
        if post_norm and res_post_norm:
            raise ValueError("post_norm and res_post_norm exclude each other")
        self.post_norm = post_norm
        self.dcn, self.mlp = dcn, mlp
        self.norm1, self.norm2 = _norm(dim), _norm(dim)
        self.res_post_norm1 = _norm(dim) if res_post_norm else nn.Identity()
        self.res_post_norm2 = _norm(dim) if res_post_norm else nn.Identity()
        scaled = layer_scale is not None
        self.gamma1 = nn.Parameter(torch.full((dim,), layer_scale)) if scaled else None
        self.gamma2 = nn.Parameter(torch.full((dim,), layer_scale)) if scaled else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # (B, H, W, C)
        x = self._add(x, self.dcn, self.norm1, self.res_post_norm1, self.gamma1)
        x = self._add(x, self.mlp, self.norm2, self.res_post_norm2, self.gamma2)
        return x.permute(0, 3, 1, 2)

    def _add(
        self, x: Tensor, part: nn.Module, norm: nn.Module, last: nn.Module, gamma: Tensor | None
    ) -> Tensor:
        branch = norm(part(x)) if self.post_norm else last(part(norm(x)))
        return x + self.drop_path(branch if gamma is None else gamma * branch)


def _norm(dim: int) -> nn.Sequential:
    # a sequence of one, as in the keys of the reference code (norm1.0.weight)
    return nn.Sequential(nn.LayerNorm(dim, eps=1e-6))


@BLOCKS.register("dcnv3")
class DCNv3Block(DeformableBlock):
    """One InternImage block, (B, C, H, W) -> (B, C, H, W).

    InternImage-S and larger use ``post_norm``, -L and larger ``offset_scale`` 2, -H
    ``res_post_norm``, -H and -G ``dw_kernel_size`` 5 and ``center_feature_scale``.

    Options: see `predcnn.blocks.protocol`, `Sampling`, `DeformableBlock` and `DCNv3`.
    """

    def __init__(
        self,
        dim: int,
        *,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        resolution: tuple[int, int] | None = None,
        groups: int | None = None,
        kernel_size: int = 3,
        dw_kernel_size: int = 3,
        offset_scale: float = 1.0,
        remove_center: bool = False,
        post_norm: bool = False,
        res_post_norm: bool = False,
        layer_scale: float | None = None,
        center_feature_scale: bool = False,
    ) -> None:
        sampling = Sampling(groups, kernel_size, dw_kernel_size, offset_scale, remove_center)
        dcn = DCNv3(dim, sampling, center_feature_scale=center_feature_scale)
        mlp = TokenMlp(dim, int(dim * mlp_ratio))
        init_trunc_normal(mlp)
        super().__init__(dim, dcn, mlp, drop_path, post_norm, res_post_norm, layer_scale)
