"""Windows of a map: cutting, joining, distances, and which pixels may see each other."""

import torch
from torch import Tensor


def partition(x: Tensor, size: int) -> Tensor:
    """Cut maps (B, H, W, C) into windows (B * H/size * W/size, size * size, C)."""
    batch, height, width, dim = x.shape
    x = x.view(batch, height // size, size, width // size, size, dim)
    return x.transpose(2, 3).reshape(-1, size * size, dim)


def join(windows: Tensor, size: int, height: int, width: int) -> Tensor:
    """The inverse of `partition`: windows back to maps (B, height, width, C)."""
    x = windows.view(-1, height // size, width // size, size, size, windows.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])


def relative_position_index(size: int) -> Tensor:
    """For every pair of a window's pixels the row of a table of (2 size - 1)^2 offsets, (N, N)."""
    axis = torch.arange(size)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None] + size - 1
    right = columns[:, None] - columns[None] + size - 1
    return down * (2 * size - 1) + right


def outside(
    size: tuple[int, int], window: int, shift: int, inside: tuple[int, int], device: torch.device
) -> Tensor:
    """Which pixels of a window must not see each other, (windows, N, N) bool, True = apart.

    For maps of ``size`` (H, W), already rolled by -``shift``: what was outside ``inside`` (padding)
    is apart from the rest. Windows are those of `partition`.
    """
    height, width = size
    rows = (torch.arange(height, device=device) + shift) % height >= inside[0]
    columns = (torch.arange(width, device=device) + shift) % width >= inside[1]
    return _differs(rows, columns, window)


def wrapped(size: tuple[int, int], window: int, shift: int, device: torch.device) -> Tensor:
    """As `outside`, but apart are pixels that rolling by -``shift`` brought together from
    opposite borders of the map.
    """
    height, width = size
    rows = torch.arange(height, device=device) >= height - shift
    columns = torch.arange(width, device=device) >= width - shift
    return _differs(rows, columns, window)


def _differs(rows: Tensor, columns: Tensor, window: int) -> Tensor:
    """(windows, N, N): which pairs differ in the property of their row or of their column."""
    region = 2 * rows.long()[:, None] + columns.long()[None]  # (H, W)
    region = partition(region[None, ..., None], window)[..., 0]  # (windows, N)
    return region[:, :, None] != region[:, None, :]
