"""Windows of a map: cut, join, relative positions, and masks of separated pixels."""

import torch
from einops import rearrange
from torch import Tensor


def partition(x: Tensor, size: int) -> Tensor:
    """Cut maps (B, H, W, C) into windows (B * H/size * W/size, size * size, C)."""
    return rearrange(x, "b (h y) (w x) c -> (b h w) (y x) c", y=size, x=size)


def join(windows: Tensor, size: int, height: int, width: int) -> Tensor:
    """Join the windows of `partition` to maps (B, height, width, C)."""
    h, w = height // size, width // size
    return rearrange(windows, "(b h w) (y x) c -> b (h y) (w x) c", h=h, w=w, y=size)


def relative_position_index(size: int) -> Tensor:
    """Return the row of each pair of pixels in a table of (2 size - 1)^2 offsets, (N, N)."""
    rows, columns = torch.arange(size * size) // size, torch.arange(size * size) % size
    down = rows[:, None] - rows[None] + size - 1
    right = columns[:, None] - columns[None] + size - 1
    return down * (2 * size - 1) + right


def separated(
    padded: tuple[int, int],
    inside: tuple[int, int],
    window: int,
    shift: int,
    device: torch.device,
    *,
    seam: bool,
) -> Tensor:
    """Mark the pairs of pixels of each window that must not see each other, (windows, N, N) bool.

    For maps of size ``padded`` (H, W) rolled by -``shift``. A pair is separated if only one of its
    pixels lies in ``inside`` (H, W), the other in the padding; with ``seam`` also if rolling has
    brought it together from opposite borders. Windows are those of `partition`.
    """

    def kinds(size: int, end: int) -> Tensor:
        place = torch.arange(size, device=device)
        padding = (place + shift) % size >= end
        return padding + 2 * (place >= size - shift) if seam else padding.long()

    rows, columns = (kinds(size, end) for size, end in zip(padded, inside, strict=True))
    region = partition((4 * rows[:, None] + columns)[None, ..., None], window)
    return region != rearrange(region, "windows n 1 -> windows 1 n")
