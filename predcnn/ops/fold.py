"""Exact folding of batch normalisation into a neighbouring convolution, for inference."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn


def affine_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """(scale, shift), each (C,) float64, with norm(x) = scale * x + shift in eval mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a BatchNorm without running statistics cannot be folded")
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


@torch.no_grad()
def fold_norm_into_next(norm: nn.Module, conv: nn.Conv2d) -> nn.Module:
    """Fold ``norm``, read by ``conv`` alone, into ``conv`` in place; return what replaces it.

    Exact only where no zero padding is read between the two: ``conv`` must be 1x1 without padding
    and without groups. Anything but a BatchNorm2d (already folded, another norm) is returned as is.
    """
    if not isinstance(norm, nn.BatchNorm2d):
        return norm
    if conv.kernel_size != (1, 1) or conv.padding != (0, 0) or conv.groups != 1:
        raise ValueError(f"a BatchNorm folds exactly into a plain 1x1 convolution, not into {conv}")
    scale, shift = affine_of(norm)
    weight = conv.weight.double()
    bias = torch.einsum("oi,i->o", weight[:, :, 0, 0], shift)
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    _set(conv, weight * scale.view(1, -1, 1, 1), bias)
    return nn.Identity()


@torch.no_grad()
def fold_norm_into_previous(conv: nn.Conv2d, norm: nn.Module) -> nn.Module:
    """Fold ``norm``, the only reader of ``conv``, into ``conv`` in place; return what replaces it.

    Exact for every kernel size, stride, padding and grouping. Anything but a BatchNorm2d is
    returned as is.
    """
    if not isinstance(norm, nn.BatchNorm2d):
        return norm
    scale, shift = affine_of(norm)
    bias = shift if conv.bias is None else shift + scale * conv.bias.double()
    _set(conv, conv.weight.double() * scale.view(-1, 1, 1, 1), bias)
    return nn.Identity()


class Savings(NamedTuple):
    """What a module no longer has after `merge_parts`."""

    parameters: int
    convolutions: int
    norms: int

    def __str__(self) -> str:
        return (
            f"{self.parameters:,} parameters, {self.convolutions} convolutions and "
            f"{self.norms} norms fewer"
        )


def merge_parts(module: nn.Module) -> Savings:
    """Call ``merge_()`` of every part inside that has one, inner parts first; in place, eval mode.

    The outputs there stay the same up to rounding, training from here is meaningless.
    """
    module.eval()
    before = _inventory(module)
    for part in reversed(list(module.modules())):
        if part is not module and hasattr(part, "merge_"):
            part.merge_()
    return Savings(*(was - now for was, now in zip(before, _inventory(module), strict=True)))


class Mergeable:
    """A network that can be merged; ``savings`` tells what that removed, None before."""

    merged: bool = False
    savings: Savings | None = None

    def merge(self) -> Self:
        """Fold normalisation and parallel branches for inference, in place; see `merge_parts`."""
        self.savings = merge_parts(self)
        self.merged = True
        return self


def _inventory(module: nn.Module) -> Savings:
    parts = list(module.modules())
    return Savings(
        sum(p.numel() for p in module.parameters()),
        sum(isinstance(part, nn.Conv2d) for part in parts),
        sum(isinstance(part, nn.BatchNorm2d) for part in parts),
    )


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    dtype = conv.weight.dtype
    conv.weight.copy_(weight.to(dtype))
    if conv.bias is None:
        conv.bias = nn.Parameter(bias.to(dtype))
    else:
        conv.bias.copy_(bias.to(dtype))
