"""Frames of sizes a network does not take as they are: padding, cropping, tiling."""

from collections.abc import Callable
from math import ceil

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional


def pad_frames(frames: Tensor, height: int, width: int) -> Tensor:
    """Repeat the border pixels downwards and to the right up to (height, width).

    (B, T, C, H, W) -> (B, T, C, height, width); the inverse is ``[..., :H, :W]``.
    """
    below, right = height - frames.shape[-2], width - frames.shape[-1]
    if below <= 0 and right <= 0:
        return frames
    flat = rearrange(frames, "b t c h w -> (b t) c h w")
    padded = functional.pad(flat, (0, right, 0, below), mode="replicate")
    return rearrange(padded, "(b t) c h w -> b t c h w", t=frames.shape[1])


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """`pad_frames` to the next sizes that ``multiple`` divides."""
    height, width = (ceil(n / multiple) * multiple for n in frames.shape[-2:])
    return pad_frames(frames, height, width)


def tiled(run: Callable[[Tensor], Tensor], frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply ``run``, which takes only frames of ``size``, to frames of any size.

    Smaller frames are padded, larger ones covered by evenly spaced tiles whose overlaps are
    averaged; a frame of just that size goes through unchanged.
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
    """Where evenly spaced tiles begin so that they cover ``length``."""
    count = ceil(length / tile)
    return torch.linspace(0, length - tile, count).round().int().tolist()
