"""Move frames between the batch and the channels, in the memory layout they come in."""

import torch
from torch import Tensor


def join_frames(x: Tensor, batch: int) -> Tensor:
    """Move frames from the batch into the channels: (B T, C, H, W) -> (B, T C, H, W).

    Channels-last maps stay channels-last, which needs a copy; otherwise the result is a view.
    """
    if not _channels_last(x):
        return x.unflatten(0, (batch, -1)).flatten(1, 2)
    x = x.permute(0, 2, 3, 1).unflatten(0, (batch, -1))  # (B, T, H, W, C)
    return x.permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)


def split_frames(x: Tensor, frames: int) -> Tensor:
    """Invert `join_frames`: (B, T C, H, W) -> (B T, C, H, W)."""
    if not _channels_last(x):
        return x.unflatten(1, (frames, -1)).flatten(0, 1)
    x = x.permute(0, 2, 3, 1).unflatten(3, (frames, -1))  # (B, H, W, T, C)
    return x.permute(0, 3, 1, 2, 4).flatten(0, 1).permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
