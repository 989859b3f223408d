"""Deformable sampling: every pixel is a weighted sum of bilinear samples at learned offsets.

Wang et al., "InternImage: Exploring Large-Scale Vision Foundation Models with Deformable
Convolutions", CVPR 2023, equation 2 (DCNv3); Xiong et al., "Efficient Deformable ConvNets:
Rethinking Dynamic and Sparse Operator for Vision Applications", CVPR 2024, section 3.2 (DCNv4: the
same sum with weights that are not normalised).
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from predcnn.native import Kernels, kernels_for
from predcnn.ops.precision import without_autocast


def kernel_points(kernel_size: int, *, remove_center: bool, device: torch.device) -> Tensor:
    """Return the taps of an odd kernel relative to its centre, (P, 2) as (x, y), x outermost."""
    axis = torch.arange(kernel_size, device=device, dtype=torch.float32) - kernel_size // 2
    points = torch.cartesian_prod(axis, axis)
    if remove_center:
        middle = points.shape[0] // 2
        points = torch.cat([points[:middle], points[middle + 1 :]])
    return points


def deformable_sampling(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    *,
    kernel_size: int = 3,
    groups: int = 1,
    offset_scale: float = 1.0,
    remove_center: bool = False,
) -> Tensor:
    """Sum mask * x at (tap + offset) * offset_scale around each pixel, over the P taps.

    Channels last; bilinear, zero outside the map; computed in float32 (float64 for float64).

    Args:
        x: (B, H, W, C) with C = groups * channels of a group.
        offset: (B, H, W, groups * P * 2), pairs (x, y) in pixels; taps in the order of
            `kernel_points` (columns of the kernel outermost).
        mask: (B, H, W, groups * P), not normalised here.
        kernel_size: side of the kernel, odd.
        groups: number of channel groups, each with its own offsets and weights.
        remove_center: leave out the middle tap.

    Returns:
        (B, H, W, C) in the dtype of x.
    """
    batch, rows, columns, _ = x.shape
    points = kernel_points(kernel_size, remove_center=remove_center, device=x.device)
    _check(x, offset, mask, groups, len(points))
    wide = torch.promote_types(x.dtype, torch.float32)
    with without_autocast(x):
        axes = [torch.arange(n, device=x.device, dtype=wide) for n in (columns, rows)]
        center = torch.stack(torch.meshgrid(*axes, indexing="xy"), dim=-1)  # (H, W, 2)
        offset = offset.to(wide).view(batch, rows, columns, groups, -1, 2)
        place = center[:, :, None, None] + (points.to(wide) + offset) * offset_scale
        weights = mask.to(wide).view(batch, rows, columns, groups, -1)
        kernels = kernels_for(x.to(wide), place, weights)
        if kernels is not None:
            return _Compiled.apply(x.to(wide), place, weights, kernels).to(x.dtype)
        return _reference(x.to(wide), place, weights).to(x.dtype)


class _Compiled(torch.autograd.Function):
    """Weighted sums of (B, H, W, C) at places (B, H, W, G, P, 2) by the compiled kernels."""

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


def _check(x: Tensor, offset: Tensor, mask: Tensor, groups: int, points: int) -> None:
    if x.shape[-1] % groups:
        raise ValueError(f"{x.shape[-1]} channels do not divide into {groups} groups")
    for name, tensor, values in (("offset", offset, 2 * points), ("mask", mask, points)):
        expected = (*x.shape[:3], groups * values)
        if tensor.shape != expected:
            raise ValueError(f"{name} has shape {expected} here, not {tuple(tensor.shape)}")


def _reference(x: Tensor, place: Tensor, weights: Tensor) -> Tensor:
    """Sum weighted samples of (B, H, W, C) at pixels (B, H, W, G, P, 2), by `grid_sample`."""
    height, width = x.shape[1:3]
    # grid_sample counts from the outer edges of the map: -1 to 1
    size = torch.tensor([width, height], device=x.device, dtype=x.dtype)
    grid = (2 * place + 1) / size - 1
    samples = functional.grid_sample(
        rearrange(x, "b h w (g c) -> (b g) c h w", g=place.shape[3]),
        rearrange(grid, "b h w g p xy -> (b g) p (h w) xy"),
        align_corners=False,
    )  # (B G, C/G, P, H W)
    out = (samples * rearrange(weights, "b h w g p -> (b g) 1 p (h w)")).sum(dim=2)
    # len would fix the batch of a graph
    return rearrange(out, "(b g) c (h w) -> b h w (g c)", b=x.shape[0], h=height)
