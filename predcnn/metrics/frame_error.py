"""Errors summed over a frame: MSE, MAE and RMSE as in video-prediction tables.

Published tables give the SUM over C, H, W of the squared (absolute) error of unclipped
predictions, averaged over sequences and lead times: 4096 times the per-pixel mean at 64x64.
Tan et al., "OpenSTL", 2023, https://arxiv.org/abs/2306.11249
"""

import torch
from torch import Tensor

from predcnn.metrics.streaming import METRICS, FrameMetric, widened


def squared_error(pred: Tensor, target: Tensor) -> Tensor:
    """Sum over C, H, W of (pred - target)^2: (B, T, C, H, W) twice -> (B, T)."""
    return (widened(pred) - widened(target)).square().sum((2, 3, 4))


def absolute_error(pred: Tensor, target: Tensor) -> Tensor:
    """Sum over C, H, W of |pred - target|: (B, T, C, H, W) twice -> (B, T)."""
    return (widened(pred) - widened(target)).abs().sum((2, 3, 4))


class _FrameSum(FrameMetric):
    def unmasked(self, values: Tensor, share: Tensor) -> Tensor:
        """Scale the sum over the valid pixels to a complete frame."""
        return values / torch.where(share > 0, share, torch.nan)


@METRICS.register("mse")
class MSE(_FrameSum):
    """Squared error per frame, the sum over C, H, W of unclipped predictions."""

    unit = "squared intensity summed over a frame"
    definition = (
        "mean over sequences and lead times of the squared error of the unclipped prediction, "
        "summed over channels and pixels; frames in [0, 1]"
    )
    state_key = "mse"

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return squared_error(pred, target)


@METRICS.register("rmse")
class RMSE(MSE):
    """Root of the mean of the summed errors, as in OpenSTL."""

    unit = "root of squared intensity summed over a frame"
    definition = "square root of mse (per lead time: of the mse at that lead time)"

    def finish(self, mean: Tensor) -> Tensor:
        return torch.sqrt(mean)


@METRICS.register("mae")
class MAE(_FrameSum):
    """Absolute error per frame, the sum over C, H, W of unclipped predictions."""

    unit = "intensity summed over a frame"
    definition = (
        "mean over sequences and lead times of the absolute error of the unclipped prediction, "
        "summed over channels and pixels; frames in [0, 1]"
    )
    state_key = "mae"

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return absolute_error(pred, target)
