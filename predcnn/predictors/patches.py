"""Space to depth and back: what the recurrent networks call patches."""

from torch import Tensor


def to_patches(frames: Tensor, patch: int) -> Tensor:
    """Move every ``patch`` x ``patch`` square into the channels.

    (..., C, H, W) -> (..., patch*patch*C, H/patch, W/patch); the new channels are ordered (row in
    the patch, column in the patch, C), as published, unlike those of ``pixel_unshuffle``.
    """
    if patch == 1:
        return frames
    *batch, C, H, W = frames.shape
    squares = frames.reshape(-1, C, H // patch, patch, W // patch, patch)
    moved = squares.permute(0, 3, 5, 1, 2, 4)
    return moved.reshape(*batch, patch * patch * C, H // patch, W // patch)


def from_patches(patches: Tensor, patch: int) -> Tensor:
    """The inverse of `to_patches`: (..., patch*patch*C, H, W) -> (..., C, patch*H, patch*W)."""
    if patch == 1:
        return patches
    *batch, channels, H, W = patches.shape
    C = channels // (patch * patch)
    squares = patches.reshape(-1, patch, patch, C, H, W)
    moved = squares.permute(0, 3, 4, 1, 5, 2)
    return moved.reshape(*batch, C, H * patch, W * patch)
