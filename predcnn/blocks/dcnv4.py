"""FlashInternImage block: deformable convolution v4, whose weights are not normalised.

Xiong et al., "Efficient Deformable ConvNets: Rethinking Dynamic and Sparse Operator for Vision
Applications", CVPR 2024, section 3. The reference code needs CUDA: its sum was compared in the form
of a loop, not by running its kernel.
"""

from torch import Tensor, nn

from predcnn.blocks.dcnv3 import DeformableBlock, Sampling, init_projections
from predcnn.ops import DepthwiseConv2d, TokenMlp, init_trunc_normal
from predcnn.registry import BLOCKS


def packed_channels(groups: int, points: int) -> int:
    """Return the size of a packed offset_mask: 3 values per point, padded to a multiple of 8."""
    return (3 * groups * points + 7) // 8 * 8


def unpack_offset_mask(packed: Tensor, groups: int, points: int) -> tuple[Tensor, Tensor]:
    """Unpack offsets (..., groups * P * 2) and weights (..., groups * P).

    ``packed`` (..., `packed_channels`) holds 2P offsets and P weights per group, then padding.
    """
    values = packed[..., : 3 * groups * points].unflatten(-1, (groups, 3 * points))
    return values[..., : 2 * points].flatten(-2), values[..., 2 * points :].flatten(-2)


class DCNv4(nn.Module):
    """Deformable convolution v4, channels last: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, dim: int, sampling: Sampling, *, output_bias: bool = False) -> None:
        super().__init__()
        self.sampling = sampling
        self.groups = sampling.groups_of(dim)
        self.offset_mask_dw = None
        if sampling.dw_kernel_size is not None:
            self.offset_mask_dw = DepthwiseConv2d(dim, sampling.dw_kernel_size)
        self.offset_mask = nn.Linear(dim, packed_channels(self.groups, sampling.points))
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim, bias=output_bias)
        init_projections(zero=[self.offset_mask], xavier=[self.value_proj, self.output_proj])

    def forward(self, x: Tensor) -> Tensor:
        context = x
        if self.offset_mask_dw is not None:
            context = self.offset_mask_dw(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        packed = self.offset_mask(context)
        offset, mask = unpack_offset_mask(packed, self.groups, self.sampling.points)
        return self.output_proj(self.sampling.sample(self.value_proj(x), offset, mask))


@BLOCKS.register("dcnv4")
class DCNv4Block(DeformableBlock):
    """One FlashInternImage block, (B, C, H, W) -> (B, C, H, W).

    As in the reference code, the sampling starts with zero weights: the branch begins at zero.
    FlashInternImage-S and larger use ``dw_kernel_size`` 3 and ``post_norm``, -B ``offset_scale``
    0.5, -L ``offset_scale`` 2 and ``bias``.

    Args (others: see `predcnn.blocks.protocol`, `Sampling` and `DeformableBlock`):
        bias: biases of the output projection and of the second layer of the MLP.
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
        remove_center: bool = False,
        post_norm: bool = False,
        res_post_norm: bool = False,
        layer_scale: float | None = None,
        bias: bool = False,
    ) -> None:
        sampling = Sampling(groups, kernel_size, dw_kernel_size, offset_scale, remove_center)
        dcn = DCNv4(dim, sampling, output_bias=bias)
        hidden = int(dim * mlp_ratio)
        mlp = TokenMlp(dim, hidden)
        if not bias:
            mlp.fc2 = nn.Linear(hidden, dim, bias=False)
        init_trunc_normal(mlp)
        super().__init__(dim, dcn, mlp, drop_path, post_norm, res_post_norm, layer_scale)
