"""The base of all video metrics: one number per frame, summed over batches by lead time.

CPUs compute in float64. Accelerators compute in float32 (consumer GPUs are slow in float64, Apple's
have none) and never wait for the host during an epoch: their sums carry the rounding error of each
addition along and are added up in float64 on the host in ``compute``.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from predcnn.registry import Registry

METRICS = Registry("metric")
Video = Tensor | np.ndarray

ROUNDING = 1e-3  # share of the range that targets may leave it by
MAX_FRAMES = 4096  # a fixed length lets a rank without any batch still reduce


def widened(frames: Tensor) -> Tensor:
    """The precision that errors are computed in: float64 on CPUs, at least float32 elsewhere."""
    if frames.device.type == "cpu":
        return frames.double()
    return frames.to(torch.promote_types(frames.dtype, torch.float32))


def as_videos(pred: Video, target: Video) -> tuple[Tensor, Tensor]:
    """Return both as (B, T, C, H, W); a batch of one may lack its first axis.

    Raises:
        TypeError, ValueError: not floating point, other axes or shapes.
    """
    given = {"pred": pred, "target": target}
    for name, frames in given.items():
        if isinstance(frames, np.ndarray) and frames.dtype.kind in "uif":
            frames = torch.from_numpy(np.require(frames, requirements="CW"))
        if not isinstance(frames, Tensor):
            kind = getattr(frames, "dtype", type(frames).__name__)
            raise TypeError(f"{name} is a tensor or an array of numbers, not {kind}")
        if not frames.is_floating_point():
            raise TypeError(
                f"{name} has dtype {frames.dtype}; metrics take floating point frames in [0, 1] "
                "(uint8 frames: divide by 255)"
            )
        if frames.ndim not in (4, 5) or frames.numel() == 0:
            raise ValueError(
                f"{name} has shape {tuple(frames.shape)}, expected (B, T, C, H, W) or (T, C, H, W)"
            )
        given[name] = frames if frames.ndim == 5 else frames[None]
    pred, target = given.values()
    if pred.shape != target.shape:
        raise ValueError(f"pred has shape {tuple(pred.shape)} but target {tuple(target.shape)}")
    if pred.shape[1] > MAX_FRAMES:
        raise ValueError(f"{pred.shape[1]} frames per sequence; at most {MAX_FRAMES} are scored")
    return pred, target


def check_finite(name: str, frames: Tensor) -> None:
    """Raise ValueError that counts and places the NaN and Inf of (B, T, C, H, W) frames."""
    # A float64 sum of finite bfloat16 or float32 numbers cannot overflow: one cheap pass is enough.
    if torch.isfinite(frames.sum(dtype=torch.float64)):
        return
    bad = ~torch.isfinite(frames)
    if bad.any():
        sequence, frame = bad.flatten(2).any(2).nonzero()[0].tolist()
        raise ValueError(
            f"{int(bad.sum())} of {bad.numel()} values of {name} are NaN or Inf, first in sequence "
            f"{sequence}, frame {frame} of this batch"
        )


class FrameMetric(Metric):
    """Mean of one number per frame over all sequences (and, unless ``per_frame``, lead times).

    A subclass defines ``frame_values``. ``compute()`` returns a scalar or, with ``per_frame``, a
    (T,) tensor, in float64 on the CPU. T must be the same in every update. Frames that are not
    finite raise in ``update`` on a CPU and in ``compute`` elsewhere.

    Args:
        per_frame: give the curve over lead times instead of its mean.
        data_range: [low, high] of the targets of metrics that are defined on [0, 1], which they are
            mapped to; None: they lie in [0, 1].
    """

    full_state_update = False
    is_differentiable = False  # the sums keep no graph; the functions they are made of do
    higher_is_better = False
    definition: ClassVar[str]  # one sentence, printed below tables
    state_key: ClassVar[str | None] = None  # metrics of one key share their sums in a collection
    ranged: ClassVar[bool] = False  # defined for targets in [0, 1] only

    def __init__(
        self, *, per_frame: bool = False, data_range: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if data_range is not None and not self.ranged:
            raise ValueError(f"{type(self).__name__} takes no data_range: it needs none")
        if data_range is not None and (np.shape(data_range) != (2,) or np.diff(data_range) <= 0):
            raise ValueError(f"data_range is [low, high], not {data_range}")
        self.per_frame, self.data_range = per_frame, data_range
        self._frames: int | None = None
        self.add_state("total", torch.zeros(MAX_FRAMES, dtype=torch.float64), _sum_of_ranks)
        self.add_state("rest", torch.zeros(MAX_FRAMES, dtype=torch.float64), _sum_of_ranks)
        self.add_state("count", torch.zeros(MAX_FRAMES, dtype=torch.int64), "sum")
        self.add_state("longest", torch.zeros(1, dtype=torch.int64), "max")
        self.add_state("masked", torch.zeros(1, dtype=torch.int64), "sum")  # batches
        self.add_state("bad", torch.zeros(2, dtype=torch.int64), "sum")  # of pred and target

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        """(B, T, C, H, W) twice -> one number per frame, (B, T), in the precision of `widened`."""
        raise NotImplementedError

    def finish(self, mean: Tensor) -> Tensor:
        """Return the published number, given the mean over frames."""
        return mean

    def unmasked(self, values: Tensor, share: Tensor) -> Tensor:
        """Return the values (B, T) that complete frames would have; NaN: not counted.

        Missing pixels were 0 in both videos; ``share`` (B, T) of the pixels are valid.
        """
        return torch.where(share == 1, values, torch.nan)

    def update(self, pred: Video, target: Video, valid: Tensor | None = None) -> None:
        """Add a batch: pred and target (B, T, C, H, W), pred unclipped, target in [0, 1].

        ``valid`` (B, T, C, H, W) is False where a pixel is missing; None: none is.
        """
        pred, target = as_videos(pred, target)
        frames = pred.shape[1]
        if self._frames not in (None, frames):
            raise ValueError(
                f"this batch has {frames} frames per sequence, the earlier ones {self._frames}; "
                "call reset() or use another metric for another horizon"
            )
        self._frames = frames
        if valid is not None:
            pred, target = (part.masked_fill(~valid, 0) for part in (pred, target))
        if pred.device.type == "cpu":
            check_finite("pred", pred)
            check_finite("target", target)
            if self.ranged and valid is None:
                self._check_range(target)
        else:  # reading the verdict now would wait for the device
            bad = [torch.isfinite(part).logical_not().sum() for part in (pred, target)]
            self.bad = self.bad + torch.stack(bad)
        if self.data_range is not None:
            low, high = self.data_range
            pred, target = ((widened(part) - low) / (high - low) for part in (pred, target))
        with torch.no_grad():
            values = self.frame_values(pred, target)
        count = self.count.new_full((frames,), len(values))
        if valid is not None:
            values = self.unmasked(values, widened(valid.float().mean((2, 3, 4))))
            count = values.isnan().logical_not().sum(0)
            values = values.nan_to_num(nan=0, posinf=torch.inf, neginf=-torch.inf)
            self.masked = self.masked + 1
        self.longest = self.longest.clamp(min=frames)
        beyond = (0, MAX_FRAMES - frames)
        # Not in place: a state made under inference_mode could not be changed outside of it.
        self._add(nn.functional.pad(values.sum(0), beyond))
        self.count = self.count + nn.functional.pad(count, beyond)

    def _check_range(self, target: Tensor) -> None:
        low, high = self.data_range or (0.0, 1.0)
        least, most = (float(value) for value in torch.aminmax(target))
        slack = ROUNDING * (high - low)
        if least < low - slack or most > high + slack:
            raise ValueError(
                f"{type(self).__name__} is defined for targets in [{low:g}, {high:g}], these span "
                f"{least:.4g} to {most:.4g}: scale them, or give data_range=[low, high]"
            )

    def _add(self, values: Tensor) -> None:
        """Add to ``total``; ``rest`` collects the rounding errors of float32 (Knuth's TwoSum)."""
        total = self.total + values
        if total.dtype != torch.float64:
            added = total - self.total
            lost = (self.total - (total - added)) + (values - added)
            self.rest = self.rest + lost.nan_to_num(nan=0, posinf=0, neginf=0)  # total may be inf
        self.total = total

    def compute(self) -> Tensor:
        """Return the mean so far, the same on every rank; NaN where no pixel was valid."""
        total, rest, count = (state.cpu() for state in (self.total, self.rest, self.count))
        for name, bad in zip(("pred", "target"), self.bad.tolist(), strict=True):
            if bad:
                raise ValueError(f"{bad} values of {name} were NaN or Inf")
        frames = int(self.longest)
        if frames == 0:
            raise ValueError(f"{type(self).__name__} has seen no frames yet: call update first")
        total = total[:frames].double() + rest[:frames].double()
        count = count[:frames]
        if int(count.min()) != int(count.max()) and not int(self.masked):
            raise ValueError(
                f"sequences of different lengths were scored: {count.tolist()} per lead time"
            )
        return self.finish(total / count if self.per_frame else total.sum() / count.sum())

    def reset(self) -> None:
        super().reset()
        self._frames = None

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> nn.Module:
        if fn(torch.zeros(1)).device.type == "cpu":
            return super()._apply(fn, exclude_state)
        self.rest = self.rest + (self.total - self.total.float()).nan_to_num(nan=0)
        return super()._apply(
            lambda state: fn(state.float() if state.dtype == torch.float64 else state),
            exclude_state,
        )


def _sum_of_ranks(states: Tensor) -> Tensor:
    """(ranks, N) -> (N,) float64 on the host."""
    return states.cpu().double().sum(0)
