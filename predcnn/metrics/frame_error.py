"""Errors of a frame: MSE, MAE and RMSE as in video-prediction tables, and PSNR.

Published tables give the SUM over C, H, W of the squared (absolute) error of unclipped
predictions, averaged over sequences and lead times: 4096 times the per-pixel mean at 64x64.
Tan et al., "OpenSTL", 2023, https://arxiv.org/abs/2306.11249
"""

import torch
from torch import Tensor

from predcnn.metrics.streaming import METRICS, FrameMetric, widened

SUMMED = (
    "mean over sequences and lead times of the {} error of the unclipped prediction, summed over "
    "channels and pixels; frames in [0, 1]"
)


class _FrameSum(FrameMetric):
    def unmasked(self, values: Tensor, share: Tensor) -> Tensor:
        """Scale the sum over the valid pixels to a complete frame."""
        return values / torch.where(share > 0, share, torch.nan)


@METRICS.register("mse")
class MSE(_FrameSum):
    """Squared error per frame, the sum over C, H, W of unclipped predictions."""

    definition = SUMMED.format("squared")
    state_key = "mse"

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return (widened(pred) - widened(target)).square().sum((2, 3, 4))


@METRICS.register("rmse")
class RMSE(MSE):
    """Root of the mean of the summed errors, as in OpenSTL."""

    definition = "square root of mse (per lead time: of the mse at that lead time)"

    def finish(self, mean: Tensor) -> Tensor:
        return torch.sqrt(mean)


@METRICS.register("mae")
class MAE(_FrameSum):
    """Absolute error per frame, the sum over C, H, W of unclipped predictions."""

    definition = SUMMED.format("absolute")
    state_key = "mae"

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return (widened(pred) - widened(target)).abs().sum((2, 3, 4))


@METRICS.register("psnr")
class PSNR(FrameMetric):
    """Peak signal-to-noise ratio per frame in dB.

    Published tables hold the mean of per-frame PSNRs, which is never below the PSNR of the mean
    error. One frame that equals its target exactly has PSNR +inf and makes the mean +inf, as in the
    published code; the curve over lead times shows where it happened.
    """

    higher_is_better = True
    definition = (
        "mean over sequences and lead times of the PSNR of a frame, prediction clipped to [0, 1], "
        "peak 1; infinite if any frame is reproduced exactly"
    )
    state_key = "psnr"
    ranged = True

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        error = widened(pred).clamp(0, 1) - widened(target)
        return -10 * torch.log10(error.square().mean((2, 3, 4)))

    def unmasked(self, values: Tensor, share: Tensor) -> Tensor:
        """Take the mean error over the valid pixels."""
        return values + 10 * torch.log10(torch.where(share > 0, share, torch.nan))
