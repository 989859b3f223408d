"""Masked frames: a predictor fills in hidden cells of the past, before it learns to predict.

The masking of A2MIM (Li et al., "Architecture-Agnostic Masked Image Modeling", ICML 2023,
https://arxiv.org/abs/2205.13943) on every frame by itself: what one frame hides, its neighbours may
show, so that the translator has to follow what moves. The combination is ours; nothing is published
of it for the predictors here.
"""

import torch
from torch import Tensor, nn

from predcnn.pretraining.losses import masked_mse
from predcnn.pretraining.masks import MaskGenerator, at_size
from predcnn.pretraining.method import Reconstruction


class MaskedFrames(nn.Module):
    """Past frames (B, T, C, H, W) and masks (B * T, h, w) -> `Reconstruction` of all B * T frames.

    Hidden cells take the mean of their frame; the loss is the squared error of hidden pixels.

    Args:
        predictor: gives as many frames as it takes, all from the whole past.
        ratio: share of hidden cells in every frame.
    """

    def __init__(self, predictor: nn.Module, *, cell: int = 8, ratio: float = 0.6) -> None:
        super().__init__()
        frames, _, height, width = predictor.in_shape
        name = type(predictor).__name__
        if hasattr(predictor, "unroll") or not any(True for _ in predictor.parameters()):
            raise ValueError(
                f"{name} does not see all past frames at once, and masked frames are for a "
                "predictor that does: model=simvp"
            )
        if predictor.frames_out != frames:
            raise ValueError(
                f"masked frames need as many frames out as in, not {predictor.frames_out} from "
                f"{frames}: say data.frames_out={frames}"
            )
        if height != width:
            raise ValueError(f"masked frames are square, not {height}x{width}")
        self.predictor = predictor
        self.generator = MaskGenerator(height, cell, ratio)
        self.frames = frames

    def masks(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Masks of all frames of ``batch`` clips, (batch * T, h, w), True where hidden."""
        return self.generator(batch * self.frames, generator)

    def tokens(self) -> list[nn.Parameter]:
        """None: the mean stands where pixels are hidden."""
        return []

    def forward(self, past: Tensor, mask: Tensor) -> Reconstruction:
        frames = past.flatten(0, 1)
        hidden = at_size(mask, frames.shape[2:])
        seen = torch.where(hidden, frames.mean((2, 3), keepdim=True), frames)
        pixels = self.predictor(seen.view_as(past)).flatten(0, 1)
        return Reconstruction(masked_mse(pixels, frames, mask), {}, pixels)
