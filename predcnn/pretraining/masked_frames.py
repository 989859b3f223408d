"""Masked frames: a predictor fills in hidden cells of the past, before it learns to predict.

The masking of A2MIM (Li et al., "Architecture-Agnostic Masked Image Modeling", ICML 2023,
https://arxiv.org/abs/2205.13943) on each frame separately: neighbouring frames may show what one
hides, so the translator has to follow motion. The combination is ours; no results are published.
"""

import torch
from torch import Tensor, nn

from predcnn.pretraining.masks import MaskGenerator, at_size, masked_mse
from predcnn.pretraining.method import Reconstruction


class MaskedFrames(nn.Module):
    """Past frames (B, T, C, H, W) and masks (B * T, h, w) -> `Reconstruction` of all B * T frames.

    Hidden cells take the mean of their frame; the loss is the squared error of hidden pixels.

    Args:
        predictor: predicts as many frames as it takes, all of them from the entire past.
        ratio: share of hidden cells in every frame.
    """

    def __init__(self, predictor: nn.Module, *, cell: int = 8, ratio: float = 0.6) -> None:
        super().__init__()
        frames, _, height, width = predictor.in_shape
        if hasattr(predictor, "unroll") or not any(True for _ in predictor.parameters()):
            raise ValueError(
                "masked frames need a predictor that sees all past frames at once, which "
                f"{type(predictor).__name__} does not: model=simvp"
            )
        if predictor.frames_out != frames:
            raise ValueError(
                f"masked frames need as many frames out as in, not {predictor.frames_out} from "
                f"{frames}: set data.frames_out={frames}"
            )
        if height != width:
            raise ValueError(f"masked frames are square, not {height}x{width}")
        self.predictor = predictor
        self.generator = MaskGenerator(height, cell, ratio)
        self.frames = frames

    def masks(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw masks of all frames of ``batch`` clips, (batch * T, h, w), True where hidden."""
        return self.generator(batch * self.frames, generator)

    def forward(self, past: Tensor, mask: Tensor) -> Reconstruction:
        frames = past.flatten(0, 1)
        hidden = at_size(mask, frames.shape[2:])
        seen = torch.where(hidden, frames.mean((2, 3), keepdim=True), frames)
        pixels = self.predictor(seen.view_as(past)).flatten(0, 1)
        return Reconstruction(masked_mse(pixels, frames, mask), {}, pixels)
