"""Deformable sampling: every pixel sums bilinear samples at learned offsets, weighed and grouped.

Wang et al., "InternImage: Exploring Large-Scale Vision Foundation Models with Deformable
Convolutions", CVPR 2023, equation 2 (DCNv3); Xiong et al., "Efficient Deformable ConvNets:
Rethinking Dynamic and Sparse Operator for Vision Applications", CVPR 2024, section 3.2 (DCNv4: the
same sum with weights that are not normalised).
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from predcnn.native import Kernels, kernels_for
from predcnn.ops.precision import without_autocast


def kernel_points(
    kernel_size: tuple[int, int], dilation: int, *, remove_center: bool, device: torch.device
) -> Tensor:
    """Return the taps of a kernel relative to its centre, (P, 2) pixels as (x, y), x outermost.

    Args:
        kernel_size: (height, width).
        remove_center: leave out the tap in the middle (kernels with odd sides only).
    """
    high, wide = kernel_size
    if remove_center and not (high % 2 and wide % 2):
        raise ValueError(f"a kernel of {high}x{wide} has no centre to remove")
    x, y = (
        torch.arange(size, device=device, dtype=torch.float32) * dilation
        - (dilation * (size - 1)) // 2
        for size in (wide, high)
    )
    points = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1).flatten(0, 1)
    if remove_center:
        middle = points.shape[0] // 2
        points = torch.cat([points[:middle], points[middle + 1 :]])
    return points


def sampled_size(size: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
    """Return the rows (or columns) of the output of a deformable sampling."""
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


def deformable_sampling(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    *,
    kernel_size: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    groups: int = 1,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Sum over P points of mask * x at (tap + offset) * offset_scale around each output pixel.

    Channels last; bilinear, zero outside the map; computed in float32 (float64 for float64).

    Args:
        x: (B, H, W, C) with C = groups * channels of a group.
        offset: (B, H', W', groups * P * 2), pairs (x, y) in pixels; points in the order of
            :func:`kernel_points` (columns of the kernel outermost).
        mask: (B, H', W', groups * P), used as it is.
        kernel_size: (height, width) of the kernel.
        groups: number of channel groups, each with its own offsets and weights.
        offset_scale: factor on taps and offsets.
        remove_center: whether the middle tap is left out.

    Returns:
        (B, H', W', C) in the dtype of x.
    """
    batch, height, width, channels = x.shape
    points = kernel_points(kernel_size, dilation, remove_center=remove_center, device=x.device)
    rows = sampled_size(height, kernel_size[0], stride, padding, dilation)
    columns = sampled_size(width, kernel_size[1], stride, padding, dilation)
    _check(x, offset, mask, (rows, columns), groups, len(points))
    wide = torch.promote_types(x.dtype, torch.float32)
    with without_autocast(x):
        centers = [
            torch.arange(number, device=x.device, dtype=wide) * stride
            + ((dilation * (size - 1)) // 2 - padding)
            for number, size in ((columns, kernel_size[1]), (rows, kernel_size[0]))
        ]
        center = torch.stack(torch.meshgrid(*centers, indexing="xy"), dim=-1)  # (H', W', 2)
        offset = offset.to(wide).view(batch, rows, columns, groups, -1, 2)
        place = center[:, :, None, None] + (points.to(wide) + offset) * offset_scale
        weights = mask.to(wide).view(batch, rows, columns, groups, -1)
        kernels = kernels_for(x.to(wide), place, weights)
        if kernels is not None:
            return _Compiled.apply(x.to(wide), place, weights, kernels).to(x.dtype)
        samples = _samples(x.to(wide), place)  # (B G, C/G, P, H'W')
        weights = weights.flatten(1, 2).permute(0, 2, 3, 1)
        out = (samples * weights.flatten(0, 1).unsqueeze(1)).sum(dim=2)
        return out.view(batch, channels, rows, columns).permute(0, 2, 3, 1).to(x.dtype)


class _Compiled(torch.autograd.Function):
    """Samples, weights and sums in one pass: (B, H, W, C), places, weights -> (B, H', W', C)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, place: Tensor, weights: Tensor, kernels: Kernels
    ) -> Tensor:
        x, place, weights = (tensor.contiguous() for tensor in (x, place, weights))
        batch, rows, columns, groups, points = weights.shape
        channels = x.shape[-1]
        out = x.new_empty(batch, rows, columns, channels)
        sizes = (*x.shape[:3], groups, channels // groups, rows * columns, points)
        kernels("deform", x, place, weights, out, *sizes)
        ctx.save_for_backward(x, place, weights)
        ctx.kernels, ctx.sizes = kernels, sizes
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, place, weights = ctx.saved_tensors
        grads = (torch.zeros_like(x), torch.empty_like(place), torch.empty_like(weights))
        ctx.kernels("deform_backward", grad.contiguous(), x, place, weights, *grads, *ctx.sizes)
        return *grads, None


def _check(
    x: Tensor, offset: Tensor, mask: Tensor, size: tuple[int, int], groups: int, points: int
) -> None:
    if x.shape[-1] % groups:
        raise ValueError(f"{x.shape[-1]} channels do not divide into {groups} groups")
    for name, tensor, values in (("offset", offset, 2 * points), ("mask", mask, points)):
        expected = (x.shape[0], *size, groups * values)
        if tensor.shape != expected:
            raise ValueError(f"{name} has shape {expected} here, not {tuple(tensor.shape)}")


def _samples(x: Tensor, place: Tensor) -> Tensor:
    """Sample bilinearly (B G, C/G, P, H'W') of (B, H, W, C) at pixels (B, H', W', G, P, 2)."""
    batch, height, width, _ = x.shape
    groups, points = place.shape[3:5]
    # grid_sample counts from the outer edges of the map: -1 to 1
    size = torch.tensor([width, height], device=x.device, dtype=x.dtype)
    grid = ((2 * place + 1) / size - 1).permute(0, 3, 4, 1, 2, 5)
    return functional.grid_sample(
        x.permute(0, 3, 1, 2).reshape(batch * groups, -1, height, width),
        grid.reshape(batch * groups, points, -1, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )


def packed_channels(groups: int, points: int) -> int:
    """Return the size of a packed offset_mask: 3 values a point, rounded up to a multiple of 8."""
    return (3 * groups * points + 7) // 8 * 8


def unpack_offset_mask(packed: Tensor, groups: int, points: int) -> tuple[Tensor, Tensor]:
    """Unpack offsets (..., groups * P * 2) and weights (..., groups * P) of DCNv4's layout.

    Args:
        packed: (..., :func:`packed_channels`): per group 2P offsets, then P weights; the tail that
            fills it up to a multiple of 8 is ignored.
    """
    if packed.shape[-1] != packed_channels(groups, points):
        raise ValueError(
            f"{groups} groups of {points} points are packed into "
            f"{packed_channels(groups, points)} values, not {packed.shape[-1]}"
        )
    values = packed[..., : 3 * groups * points].unflatten(-1, (groups, 3 * points))
    return values[..., : 2 * points].flatten(-2), values[..., 2 * points :].flatten(-2)
