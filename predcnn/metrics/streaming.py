"""What every video metric shares: one number per frame, summed as it streams, by lead time.

The design is torchmetrics': a pure function of two batches, and a class that only keeps sums and
says how ranks add up. Memory is constant: two vectors of ``MAX_FRAMES`` entries, however many
sequences are scored.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from predcnn.registry import Registry

METRICS = Registry("metric")
"""Every metric by the name it has in tables and in ``video_metrics``."""

MAX_FRAMES = 4096
"""Longest horizon a metric can score. A fixed length lets a rank without any batch still reduce."""


def check_videos(pred: Tensor, target: Tensor) -> None:
    """Raise unless both are floating point (B, T, C, H, W) tensors of one shape and all finite.

    Raises:
        TypeError: integers (frames in 0..255 must be divided by 255 first).
        ValueError: another number of axes, different shapes, no frames, more than ``MAX_FRAMES``
            frames, NaN or Inf.
    """
    for name, frames in (("pred", pred), ("target", target)):
        if not frames.is_floating_point():
            raise TypeError(
                f"{name} has dtype {frames.dtype}; metrics take floating point frames in [0, 1] "
                "(uint8 frames: divide by 255)"
            )
        if frames.ndim != 5 or frames.numel() == 0:
            raise ValueError(f"{name} has shape {tuple(frames.shape)}, expected (B, T, C, H, W)")
    if pred.shape != target.shape:
        raise ValueError(
            f"pred has shape {tuple(pred.shape)} but target {tuple(target.shape)}; both must be "
            "the same (B, T, C, H, W)"
        )
    if pred.shape[1] > MAX_FRAMES:
        raise ValueError(f"{pred.shape[1]} frames per sequence; at most {MAX_FRAMES} are scored")
    for name, frames in (("pred", pred), ("target", target)):
        check_finite(name, frames)


def check_finite(name: str, frames: Tensor) -> None:
    """Raise ValueError that counts and places the NaN and Inf of (B, T, C, H, W) frames."""
    # A float64 sum of finite bfloat16 or float32 numbers cannot overflow: one cheap pass is enough.
    if torch.isfinite(frames.sum(dtype=torch.float64)):
        return
    bad = ~torch.isfinite(frames)
    if not bad.any():
        return
    sequence, frame = bad.flatten(2).any(2).nonzero()[0].tolist()
    raise ValueError(
        f"{int(bad.sum())} of {bad.numel()} values of {name} are NaN or Inf, first in sequence "
        f"{sequence}, frame {frame} of this batch; a score of them would mean nothing"
    )


class FrameMetric(Metric):
    """Mean of one number per frame over all sequences (and, unless ``per_frame``, lead times).

    A subclass says what that number is in ``frame_values`` and states its facts as attributes.
    ``update(pred, target)`` takes two (B, T, C, H, W) float tensors, ``compute()`` gives a scalar
    or, with ``per_frame``, a (T,) tensor, in float64. T must be the same in every update.
    Sums and counts are float64 and int64 states that ranks add up exactly.

    Args:
        per_frame: give the curve over lead times instead of its mean.
    """

    full_state_update = False
    is_differentiable = False  # the sums keep no graph; the functions they are made of do
    higher_is_better = False
    unit: ClassVar[str]
    """What one unit is, for table heads."""
    definition: ClassVar[str]
    """One sentence that says how the number is made, printed below tables."""
    state_key: ClassVar[str | None] = None
    """Metrics with the same key keep the same sums, so a collection updates them once."""

    total: Tensor
    count: Tensor

    def __init__(self, *, per_frame: bool = False) -> None:
        super().__init__()
        self.per_frame = per_frame
        self._frames: int | None = None
        self.add_state("total", torch.zeros(MAX_FRAMES, dtype=torch.float64), "sum")
        self.add_state("count", torch.zeros(MAX_FRAMES, dtype=torch.int64), "sum")

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        """(B, T, C, H, W) twice -> one number per frame, (B, T) float64."""
        raise NotImplementedError(f"{type(self).__name__} does not define frame_values")

    def finish(self, mean: Tensor) -> Tensor:
        """From the mean over frames to the published number; the identity unless overridden."""
        return mean

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Add a batch: pred and target (B, T, C, H, W), pred unclipped, target in [0, 1].

        Raises:
            TypeError, ValueError: see ``check_videos``; also when T differs from earlier batches.
        """
        check_videos(pred, target)
        frames = pred.shape[1]
        if self._frames not in (None, frames):
            raise ValueError(
                f"this batch has {frames} frames per sequence, the earlier ones {self._frames}; "
                "call reset() or use another metric for another horizon"
            )
        self._frames = frames
        if pred.device.type == "mps":  # has no float64; see _apply
            pred, target = pred.cpu(), target.cpu()
        with torch.no_grad():
            values = self.frame_values(pred, target)
        count = self.count.new_full((frames,), len(values))
        beyond = (0, MAX_FRAMES - frames)
        # Not in place: a state made under inference_mode could not be changed outside of it.
        self.total = self.total + nn.functional.pad(values.sum(0), beyond)
        self.count = self.count + nn.functional.pad(count, beyond)

    def compute(self) -> Tensor:
        """The mean so far: scalar, or (T,) with ``per_frame``; on every rank the same.

        Raises:
            ValueError: no frames yet, or ranks that scored different numbers of frames.
        """
        frames = int(self.count.count_nonzero())
        if frames == 0:
            raise ValueError(f"{type(self).__name__} has seen no frames yet: call update first")
        total, count = self.total[:frames], self.count[:frames]
        if int(count.min()) != int(count.max()):
            raise ValueError(
                f"sequences of different lengths were scored ({count.tolist()} sequences per lead "
                "time); every batch and rank must have the same number of frames"
            )
        return self.finish(total / count if self.per_frame else total.sum() / count.sum())

    def reset(self) -> None:
        """Forget every batch."""
        super().reset()
        self._frames = None

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> nn.Module:
        # Apple's GPU has no float64: the sums stay on the CPU there.
        if fn(torch.zeros(1)).device.type == "mps":
            return self
        return super()._apply(fn, exclude_state)
