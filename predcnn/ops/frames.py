"""Move frames between the batch and the channels, keeping the memory format."""

import torch
from einops import rearrange
from torch import Tensor


def join_frames(x: Tensor, batch: int) -> Tensor:
    """Move frames into the channels: (B T, C, H, W) -> (B, T C, H, W), memory format kept."""
    if not _channels_last(x):
        return rearrange(x, "(b t) c h w -> b (t c) h w", b=batch)
    x = rearrange(x, "(b t) c h w -> b h w (t c)", b=batch)
    return rearrange(x, "b h w c -> b c h w")


def split_frames(x: Tensor, frames: int) -> Tensor:
    """Invert `join_frames`: (B, T C, H, W) -> (B T, C, H, W)."""
    if not _channels_last(x):
        return rearrange(x, "b (t c) h w -> (b t) c h w", t=frames)
    x = rearrange(x, "b (t c) h w -> (b t) h w c", t=frames)
    return rearrange(x, "bt h w c -> bt c h w")


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
