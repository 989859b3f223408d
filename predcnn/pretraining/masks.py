"""Random masks of image cells, and losses of masked images: errors of hidden pixels, of spectra.

Frequency loss: Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis", ICCV
2021, https://arxiv.org/abs/2012.12821 (eq. 8-10); its use on masked images: Li et al.,
"Architecture-Agnostic Masked Image Modeling", ICML 2023, https://arxiv.org/abs/2205.13943.
All images are (B, C, H, W), all masks (B, h, w) with True where a cell is hidden.
"""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor


class MaskGenerator:
    """Hide the same number of square cells, drawn at random, in every image of a batch.

    A mask is (B, H / cell, W / cell), bool, True where the image is hidden. At least one cell is
    hidden and one is visible.

    Args:
        image_size: side of the images in pixels, a multiple of ``cell``.
        rounding: "up" rounds the number of hidden cells up (SimMIM, A2MIM, FCMAE), "nearest"
            rounds the number of visible ones (SparK).
    """

    def __init__(
        self, image_size: int, cell: int = 32, ratio: float = 0.6, rounding: str = "up"
    ) -> None:
        if rounding not in ("up", "nearest"):
            raise ValueError(f"rounding is 'up' or 'nearest', not {rounding!r}")
        if not 0 < ratio < 1:
            raise ValueError(f"ratio is the share of hidden cells, between 0 and 1, not {ratio}")
        if cell < 1 or image_size % cell or image_size == cell:
            raise ValueError(
                f"images of {image_size} pixels cannot be cut into cells of {cell}: the side is a "
                "multiple of the cell, two cells at least"
            )
        self.side = image_size // cell
        cells = self.side**2
        if rounding == "up":
            hidden = math.ceil(cells * ratio - 1e-9)  # 10 * 0.7 is a little more than 7
        else:
            hidden = cells - round(cells * (1 - ratio))
        self.hidden = min(max(hidden, 1), cells - 1)

    def __call__(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw masks of ``batch`` images on the CPU, so that every device gets the same."""
        order = torch.rand(batch, self.side**2, generator=generator).argsort(dim=1)
        return (order < self.hidden).unflatten(1, (self.side, self.side))


def at_size(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge a mask (B, h, w) to the size (H, W) of a map, (B, 1, H, W), by repeating cells."""
    (height, width), (h, w) = size, mask.shape[1:]
    if height % h or width % w:
        raise ValueError(
            f"a map of {height}x{width} does not resolve a mask of {h}x{w} cells: make the cells "
            "larger, a multiple of the map's stride"
        )
    return repeat(mask, "b h w -> b 1 (h p1) (w p2)", p1=height // h, p2=width // w)


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
