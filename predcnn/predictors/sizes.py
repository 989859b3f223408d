"""Padding, cropping and tiling of frames whose size a network does not accept."""

from collections.abc import Callable
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional


def pad_frames(frames: Tensor, height: int, width: int) -> Tensor:
    """Repeat the lower and right border, (B, T, C, H, W) -> (B, T, C, height, width)."""
    below, right = height - frames.shape[-2], width - frames.shape[-1]
    if below <= 0 and right <= 0:
        return frames
    return functional.pad(frames, (0, right, 0, below, 0, 0), mode="replicate")


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Repeat the lower and right border up to the next sizes that ``multiple`` divides."""
    height, width = (ceil(n / multiple) * multiple for n in frames.shape[-2:])
    return pad_frames(frames, height, width)


def tiled(run: Callable[[Tensor], Tensor], frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply ``run``, which accepts only frames of ``size`` (H, W), to frames of any size.

    Smaller frames are padded. Larger ones are covered by evenly spaced tiles, whose overlaps are
    averaged.
    """
    height, width = frames.shape[-2:]
    padded = pad_frames(frames, max(height, size[0]), max(width, size[1]))
    rows, columns = _starts(padded.shape[-2], size[0]), _starts(padded.shape[-1], size[1])
    if len(rows) == len(columns) == 1:
        return run(padded)[..., :height, :width]
    total, weight = None, padded.new_zeros(padded.shape[-2:])
    for top in rows:
        for left in columns:
            window = (..., slice(top, top + size[0]), slice(left, left + size[1]))
            tile = run(padded[window])
            if total is None:
                total = tile.new_zeros((*tile.shape[:-2], *padded.shape[-2:]))
            total[window] += tile
            weight[window] += 1
    return (total / weight)[..., :height, :width]


def _starts(length: int, tile: int) -> list[int]:
    """Return where evenly spaced tiles start that cover ``length``."""
    count = ceil(length / tile)
    return torch.linspace(0, length - tile, count).round().int().tolist()
