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
    """Return for each pair of pixels its row in a table of (2 size - 1)^2 offsets, (N, N)."""
    axis = torch.arange(size)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None] + size - 1
    right = columns[:, None] - columns[None] + size - 1
    return down * (2 * size - 1) + right


def outside(
    size: tuple[int, int], window: int, shift: int, inside: tuple[int, int], device: torch.device
) -> Tensor:
    """Mark the pairs of pixels of which one is padding, (windows, N, N) bool.

    For maps of ``size`` (H, W), already rolled by -``shift``, of which ``inside`` (H, W) is not
    padding. Windows are those of `partition`.
    """
    height, width = size
    rows = (torch.arange(height, device=device) + shift) % height >= inside[0]
    columns = (torch.arange(width, device=device) + shift) % width >= inside[1]
    return _differs(rows, columns, window)


def wrapped(size: tuple[int, int], window: int, shift: int, device: torch.device) -> Tensor:
    """Mark the pairs that rolling by -``shift`` brought together from opposite borders.

    (windows, N, N) bool, see `outside`.
    """
    height, width = size
    rows = torch.arange(height, device=device) >= height - shift
    columns = torch.arange(width, device=device) >= width - shift
    return _differs(rows, columns, window)


def _differs(rows: Tensor, columns: Tensor, window: int) -> Tensor:
    """Mark the pairs that differ in the property of row or column, (windows, N, N)."""
    region = 2 * rows.long()[:, None] + columns.long()[None]  # (H, W)
    region = partition(region[None, ..., None], window)[..., 0]  # (windows, N)
    return region[:, :, None] != region[:, None, :]
