"""Training losses: sums of named, weighted terms on predicted and true frames.

``objective(predictor, frames, frames_in, progress)`` takes frames (B, T, C, H, W) in [0, 1] and
returns ``{"loss": scalar, "<term>": scalar, ...}``; validation calls ``frame_loss(pred, target)``.

TAU's divergence: Tan et al., "Temporal Attention Unit: Towards Efficient Spatiotemporal Predictive
Learning", CVPR 2023, https://arxiv.org/abs/2206.12126 (eq. 8). High frequencies: Nie et al.,
"Wavelet-Driven Spatiotemporal Predictive Learning", AAAI 2024.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.checks import one_of
from predcnn.metrics.ssim import structural_similarity
from predcnn.ops.precision import widened
from predcnn.training.sampling import Progress


def divergence(pred: Tensor, target: Tensor) -> Tensor:
    """Return TAU's divergence of the changes of two sequences (B, T, C, H, W) between frames.

    A softmax of temperature 0.1 makes the changes distributions over pixels. As in the reference
    code, the result is the mean over all elements of p log(p / (q + 1e-12) + 1e-12), and 0 for
    fewer than three frames.
    """
    if pred.shape[1] <= 2:
        return pred.new_zeros(())
    p, q = ((frames.diff(dim=1).flatten(2) / 0.1).softmax(-1) for frames in (pred, target))
    return (p * torch.log(p / (q + 1e-12) + 1e-12)).mean()


def dissimilarity(pred: Tensor, target: Tensor) -> Tensor:
    """Return 1 - SSIM of unclipped predictions, data range 1, mean over frames."""
    return 1 - structural_similarity(pred, target, data_range=1.0).mean().to(pred.dtype)


def high_frequency_focal(
    pred: Tensor, target: Tensor, *, level: int = 1, tau: float = 0.1, alpha: float = 1.0
) -> Tensor:
    """Return WaST's focal loss of two clips (B, T, C, H, W), published with weight 1e-3.

    Compares the spectra of their low Haar bands. The weight of a frequency is
    log(1 + |difference|^alpha), without gradient and scaled to at most 1 in each map; low
    frequencies, within ``tau`` times the longer side of a corner of the spectrum, have weight 0.

    Args:
        level: how often the frames are halved; the losses of all levels are added.
        tau: radius of the low frequencies.
        alpha: larger values emphasise large differences.
    """
    total = pred.new_zeros(())
    difference = widened(pred - target).flatten(0, 1)
    for _ in range(level):
        height, width = difference.shape[-2:]
        padded = functional.pad(difference, (0, width % 2, 0, height % 2))
        difference = 2 * functional.avg_pool2d(padded, 2)  # the low band (a + b + c + d) / 2
        distance = torch.fft.fft2(difference, norm="ortho").abs().square()
        weight = torch.log(distance.detach() ** (alpha / 2) + 1)
        weight = (weight / weight.amax((2, 3), keepdim=True)).nan_to_num(nan=0.0).clamp(0, 1)
        # distances to the nearest corner of the spectrum, in rows and in columns
        places = (torch.arange(n, device=weight.device) for n in weight.shape[2:])
        rows, columns = (torch.minimum(at, at.flip(0)) for at in places)
        high = rows[:, None] ** 2 + columns**2 > (tau * max(weight.shape[2:])) ** 2
        total = total + (high * weight * distance).mean()
    return total


FRAME_TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "ssim": dissimilarity,
    "divergence": divergence,
    "high_frequency": high_frequency_focal,
}
"""Terms by name: (pred, target), both (B, T, C, H, W), to a scalar."""


class FrameLoss(nn.Module):
    """Weighted sum of frame terms on the predicted future.

    Attributes:
        missing: whether frames may hold NaN, which counts neither in the loss nor in gradients.
    """

    missing = False

    def __init__(self, terms: Mapping[str, float]) -> None:
        super().__init__()
        for name in terms:
            one_of("loss term", name, sorted(FRAME_TERMS))
        self.terms = {name: float(weight) for name, weight in terms.items() if weight}
        if not self.terms:
            raise ValueError("an objective needs at least one term with a weight that is not 0")

    def frame_loss(self, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the terms and their weighted sum ``loss`` for frames (B, T, C, H, W)."""
        pred, target = self.compared(pred, target)
        parts = {name: FRAME_TERMS[name](pred, target) for name in self.terms}
        loss = sum(weight * parts[name] for name, weight in self.terms.items())
        return {"loss": loss, **(parts if len(parts) > 1 else {})}

    def forward(
        self, predictor: nn.Module, frames: Tensor, frames_in: int, progress: Progress
    ) -> dict[str, Tensor]:
        """Predict the future of ``frames`` (B, T, C, H, W) from its first ``frames_in``."""
        past, future = frames[:, :frames_in], frames[:, frames_in:]
        return self.frame_loss(predictor(self.filled(past)), future)

    def compared(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return both with 0 where ``target`` is missing: no error and no gradient there."""
        if not self.missing:
            return pred, target
        gone = target.isnan()
        return pred.masked_fill(gone, 0), target.masked_fill(gone, 0)

    def filled(self, frames: Tensor) -> Tensor:
        """Return frames for a network: 0 where they are missing."""
        return frames.nan_to_num(nan=0) if self.missing else frames
