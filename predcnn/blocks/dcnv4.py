"""FlashInternImage block: deformable convolution v4, whose weights are not normalised.

Xiong et al., "Efficient Deformable ConvNets: Rethinking Dynamic and Sparse Operator for Vision
Applications", CVPR 2024, section 3. There is no published implementation without CUDA; the sum is
that of the published kernel, and was compared with a plain loop, not with the kernel itself.
"""

from torch import Tensor, nn

from predcnn.blocks.dcnv3 import DeformableBlock, groups_of
from predcnn.ops.deform import deformable_sampling, packed_channels, unpack_offset_mask
from predcnn.ops.depthwise import DepthwiseConv2d
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.mlp import TokenMlp
from predcnn.registry import BLOCKS


class DCNv4(nn.Module):
    """Deformable convolution v4, channels last: (B, H, W, C) -> (B, H, W, C).

    Args:
        dim: channels C, a multiple of ``groups``.
        groups: channel groups with offsets and weights of their own.
        kernel_size: of the sampling.
        dw_kernel_size: of a depthwise convolution before the offsets and weights; None for none.
        offset_scale: factor on taps and offsets.
        remove_center: leave out the middle tap.
        output_bias: whether the output projection has a bias.
    """

    def __init__(
        self,
        dim: int,
        groups: int,
        *,
        kernel_size: int = 3,
        dw_kernel_size: int | None = None,
        offset_scale: float = 1.0,
        remove_center: bool = False,
        output_bias: bool = False,
    ) -> None:
        super().__init__()
        self.groups = groups_of(dim, groups)
        self.points = kernel_size**2 - remove_center
        self.sampling = {
            "kernel_size": (kernel_size, kernel_size),
            "padding": kernel_size // 2,
            "groups": groups,
            "offset_scale": offset_scale,
            "remove_center": remove_center,
        }
        self.offset_mask_dw = None
        if dw_kernel_size is not None:
            self.offset_mask_dw = DepthwiseConv2d(dim, dw_kernel_size)
        self.offset_mask = nn.Linear(dim, packed_channels(groups, self.points))
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim, bias=output_bias)
        nn.init.zeros_(self.offset_mask.weight)
        nn.init.zeros_(self.offset_mask.bias)
        nn.init.xavier_uniform_(self.value_proj.weight)
        nn.init.zeros_(self.value_proj.bias)
        nn.init.xavier_uniform_(self.output_proj.weight)
        if output_bias:
            nn.init.zeros_(self.output_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        context = x
        if self.offset_mask_dw is not None:
            context = self.offset_mask_dw(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        packed = self.offset_mask(context)
        offset, mask = unpack_offset_mask(packed, self.groups, self.points)
        y = deformable_sampling(self.value_proj(x), offset, mask, **self.sampling)
        return self.output_proj(y)


@BLOCKS.register("dcnv4")
class DCNv4Block(DeformableBlock):
    """One FlashInternImage block, (B, C, H, W) -> (B, C, H, W).

    The sampling starts with zero weights, as published: the mixer's branch begins at zero.

    Args:
        dim: channels C, a multiple of the groups.
        mlp_ratio: hidden channels of the feed-forward part, in units of ``dim``.
        drop_path: probability of skipping a residual branch of a sample.
        resolution: (H, W) of the input; not used.
        groups: channel groups of the sampling; None for groups of 16 channels.
        kernel_size: of the sampling, odd.
        dw_kernel_size: of a depthwise convolution before offsets and weights (3 in
            FlashInternImage-S and larger); None for none.
        offset_scale: factor on taps and offsets (0.5 in FlashInternImage-B, 2 in -L).
        post_norm: normalise the branches' results (FlashInternImage-S and larger).
        res_post_norm: normalise both.
        layer_scale: initial scale of both residual branches; None for no scale.
        remove_center: leave out the middle tap.
        bias: biases of the output projection and of the second layer of the feed-forward part
            (only in FlashInternImage-L).
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
        dw_kernel_size: int | None = None,
        offset_scale: float = 1.0,
        post_norm: bool = False,
        res_post_norm: bool = False,
        layer_scale: float | None = None,
        remove_center: bool = False,
        bias: bool = False,
    ) -> None:
        dcn = DCNv4(
            dim,
            groups_of(dim, groups),
            kernel_size=kernel_size,
            dw_kernel_size=dw_kernel_size,
            offset_scale=offset_scale,
            remove_center=remove_center,
            output_bias=bias,
        )
        hidden = int(dim * mlp_ratio)
        mlp = TokenMlp(dim, hidden)
        if not bias:
            mlp.fc2 = nn.Linear(hidden, dim, bias=False)
        init_trunc_normal(mlp)
        super().__init__(
            dim,
            dcn,
            mlp,
            drop_path=drop_path,
            post_norm=post_norm,
            res_post_norm=res_post_norm,
            layer_scale=layer_scale,
        )
