"""Which cells of an image are hidden, and that mask at the size of any map."""

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
        rounding: "up" hides the next whole number of cells (SimMIM, A2MIM, FCMAE), "nearest" shows
            the nearest whole number (SparK).
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
        """Masks of ``batch`` images, on the CPU, so that every device draws the same."""
        order = torch.rand(batch, self.side**2, generator=generator).argsort(dim=1)
        return (order < self.hidden).unflatten(1, (self.side, self.side))


def at_size(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge a mask (B, h, w) to the size (H, W) of a map, (B, 1, H, W), by repeating cells."""
    rows, columns = (big // small for big, small in zip(size, mask.shape[1:], strict=True))
    if (rows * mask.shape[1], columns * mask.shape[2]) != tuple(size):
        raise ValueError(
            f"a map of {size[0]}x{size[1]} does not resolve a mask of {mask.shape[1]}x"
            f"{mask.shape[2]} cells: make the cells larger, a multiple of the map's stride"
        )
    return repeat(mask, "b h w -> b 1 (h p1) (w p2)", p1=rows, p2=columns)
