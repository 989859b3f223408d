"""Exact folding of batch normalisation into a neighbouring convolution, for inference."""

import torch
from torch import Tensor, nn


def affine_of(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return (scale, shift), (C,) float64 each, with norm(x) = scale * x + shift in eval mode."""
    scale = norm.weight.detach().double() * (norm.running_var.double() + norm.eps).rsqrt()
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


@torch.no_grad()
def fold_norm_into_next(norm: nn.Module, conv: nn.Conv2d) -> nn.Module:
    """Fold ``norm`` into ``conv``, the only layer that reads it, in place; return its replacement.

    Exact only without zero padding in between: ``conv`` is 1x1 without padding and groups. Anything
    but a BatchNorm2d (already folded, another norm) is returned unchanged.
    """
    if not isinstance(norm, nn.BatchNorm2d):
        return norm
    if conv.kernel_size != (1, 1) or conv.padding != (0, 0) or conv.groups != 1:
        raise ValueError(f"a BatchNorm folds exactly into a 1x1 convolution only, not into {conv}")
    scale, shift = affine_of(norm)
    weight = conv.weight.double()
    bias = torch.einsum("oi,i->o", weight[:, :, 0, 0], shift)
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    _set(conv, weight * scale.view(1, -1, 1, 1), bias)
    return nn.Identity()


@torch.no_grad()
def fold_norm_into_previous(conv: nn.Conv2d, norm: nn.Module) -> nn.Module:
    """Fold ``norm``, if a BatchNorm2d, into its only source ``conv``; return what replaces it."""
    if not isinstance(norm, nn.BatchNorm2d):
        return norm
    scale, shift = affine_of(norm)
    bias = shift if conv.bias is None else shift + scale * conv.bias.double()
    _set(conv, conv.weight.double() * scale.view(-1, 1, 1, 1), bias)
    return nn.Identity()


def _set(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    dtype = conv.weight.dtype
    conv.weight.copy_(weight.to(dtype))
    if conv.bias is None:
        conv.bias = nn.Parameter(bias.to(dtype))
    else:
        conv.bias.copy_(bias.to(dtype))


class Mergeable:
    """Network that can be merged for inference."""

    merged: bool = False

    def merge(self) -> "Mergeable":
        """Fold normalisation and parallel branches, in place, and switch to eval mode.

        Calls ``merge_()`` of every part that has one, inner parts first. The outputs stay the same
        up to rounding; the network can no longer be trained.
        """
        self.eval()
        for part in reversed(list(self.modules())):
            if part is not self and hasattr(part, "merge_"):
                part.merge_()
        self.merged = True
        return self
