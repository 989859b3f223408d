"""Losses of masked image models: errors of hidden pixels, and of the spectrum.

Frequency loss: Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis", ICCV
2021, https://arxiv.org/abs/2012.12821 (eq. 8-10); its use on masked images: Li et al.,
"Architecture-Agnostic Masked Image Modeling", ICML 2023, https://arxiv.org/abs/2205.13943.
All images are (B, C, H, W), all masks (B, h, w) with True where a cell is hidden.
"""

import torch
from einops import rearrange, repeat
from torch import Tensor

from predcnn.pretraining.masks import at_size


def masked_mean(errors: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of ``errors`` (B, C, H, W) over all channels of the hidden pixels."""
    hidden = at_size(mask, errors.shape[2:]).to(errors.dtype)
    return (errors * hidden).sum() / (hidden.sum() * errors.shape[1])


def masked_l1(pred: Tensor, target: Tensor, mask: Tensor, focal: bool = False) -> Tensor:
    """Return the mean absolute error d of hidden pixels, ``focal`` times 2 sigmoid(0.2 d) - 1."""
    error = (pred - target).abs()
    if focal:
        error = error * (2 * torch.sigmoid(0.2 * error) - 1)
    return masked_mean(error, mask)


def masked_mse(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error of hidden pixels."""
    return masked_mean((pred - target) ** 2, mask)


def cell_statistics(images: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Return mean and sqrt(unbiased variance + 1e-6) of every cell, each (B, 1, H, W)."""
    cells = rearrange(images, "b c (h p1) (w p2) -> b h w (c p1 p2)", p1=cell, p2=cell)
    var, mean = torch.var_mean(cells, dim=-1)
    parts, enlarged = (mean, (var + 1e-6).sqrt()), "b h w -> b 1 (h p1) (w p2)"
    return tuple(repeat(part, enlarged, p1=cell, p2=cell) for part in parts)


def frequency_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of mean spectra, weighted by log(1 + distance) / maximum."""
    wide = torch.promote_types(pred.dtype, torch.float32)  # half precision has no general FFT
    difference = (pred - target).to(wide).mean(0)  # the transform is linear
    spectrum = torch.fft.fft2(difference, norm="ortho")
    energy = spectrum.real**2 + spectrum.imag**2
    weight = torch.log1p(energy.detach().sqrt())
    return ((weight / weight.max().clamp_min(torch.finfo(wide).tiny)) * energy).mean()


def masked_frequency_loss(
    pred: Tensor, target: Tensor, mask: Tensor, visible_weight: float = 0.0
) -> Tensor:
    """Return the `frequency_loss` of a prediction whose visible pixels are replaced.

    They become the mean of prediction, without gradient, and truth, except for the share
    ``visible_weight`` that keeps its gradient.
    """
    hidden = at_size(mask, pred.shape[2:]).to(pred.dtype)
    kept = hidden + (1 - hidden) * visible_weight
    mixed = pred * kept + (pred.detach() + target) / 2 * (1 - kept)
    return frequency_loss(mixed, target)
