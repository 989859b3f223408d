"""Random masks of image cells, and their enlargement to the size of any map."""

import math

import torch
from einops import repeat
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
