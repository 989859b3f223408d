"""Patches of the recurrent networks: space to depth and back."""

from einops import rearrange
from torch import Tensor

from predcnn.predictors.unrolling import RecurrentPredictor


def to_patches(frames: Tensor, patch: int) -> Tensor:
    """Move squares of side p into the channels, (..., C, H, W) -> (..., p*p*C, H/p, W/p).

    The channels are ordered as in the reference code, unlike those of ``pixel_unshuffle``.
    """
    squares = "... c (h p1) (w p2) -> ... (p1 p2 c) h w"
    return frames if patch == 1 else rearrange(frames, squares, p1=patch, p2=patch)


def from_patches(patches: Tensor, patch: int) -> Tensor:
    """Invert `to_patches`: (..., patch*patch*C, H, W) -> (..., C, patch*H, patch*W)."""
    pixels = "... (p1 p2 c) h w -> ... c (h p1) (w p2)"
    return patches if patch == 1 else rearrange(patches, pixels, p1=patch, p2=patch)


class PatchedPredictor(RecurrentPredictor):
    """A recurrent predictor whose steps map patches of side ``patch_size`` to patches."""

    patch_size: int = 1

    def enter(self, frames: Tensor) -> Tensor:
        """Convert frames (B, S, C, H, W) to patches (S, B, p*p*C, H/p, W/p)."""
        return to_patches(frames.transpose(0, 1), self.patch_size)

    def leave(self, predictions: Tensor) -> Tensor:
        """Invert `enter`."""
        return from_patches(predictions, self.patch_size).transpose(0, 1)
