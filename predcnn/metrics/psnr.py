"""PSNR of single frames, averaged in decibels.

Published tables hold the mean of per-frame PSNRs. It is never below the PSNR of the mean error.
"""

import torch
from torch import Tensor

from predcnn.metrics.streaming import METRICS, FrameMetric, widened


def peak_signal_to_noise(pred: Tensor, target: Tensor) -> Tensor:
    """10 log10(1 / mean over C, H, W of (clip(pred, 0, 1) - target)^2), in dB.

    (B, T, C, H, W) twice -> (B, T). Only ``pred`` is clipped. Identical frames give +inf.
    """
    error = widened(pred).clamp(0, 1) - widened(target)
    return -10 * torch.log10(error.square().mean((2, 3, 4)))


@METRICS.register("psnr")
class PSNR(FrameMetric):
    """Peak signal-to-noise ratio per frame in dB.

    One frame that equals its target exactly has PSNR +inf and makes the mean +inf, as in the
    published code; the curve over lead times shows where it happened.
    """

    higher_is_better = True
    unit = "dB"
    definition = (
        "mean over sequences and lead times of the PSNR of a frame, prediction clipped to [0, 1], "
        "peak 1; infinite if any frame is reproduced exactly"
    )
    state_key = "psnr"
    ranged = True

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return peak_signal_to_noise(pred, target)

    def unmasked(self, values: Tensor, share: Tensor) -> Tensor:
        """Take the mean error over the valid pixels."""
        return values + 10 * torch.log10(torch.where(share > 0, share, torch.nan))
