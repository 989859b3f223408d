"""Scales between stored numbers and the values that networks see, one per channel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

KINDS = ("range", "minmax", "standard", "log1p", "none")
"""range: given bounds -> 0..1; minmax, log1p (of ln(1 + x)): smallest and largest value of the
training part -> 0..1; standard: its mean and standard deviation -> 0 and 1; none: unchanged."""


@dataclass(frozen=True)
class Scale:
    """An affine map per channel, after ln(1 + x) for "log1p": (values - low) / span."""

    kind: str
    low: Sequence[float]
    span: Sequence[float]
    channels: Sequence[str]  # names
    units: Sequence[str]  # "" where unknown

    @property
    def bounded(self) -> bool:
        """Whether scaled values have the range 0..1, which some metrics need."""
        return self.kind in ("range", "minmax", "log1p")

    def apply(self, frames: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """Scale frames (..., C, H, W); float32. NaN stays NaN."""
        if isinstance(frames, np.ndarray):
            return self.apply(torch.from_numpy(np.array(frames, np.float32))).numpy()
        values = torch.log1p(frames.float()) if self.kind == "log1p" else frames.float()
        low, span = self._constants(frames.device)
        return (values - low) / span

    def undo(self, frames: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """Return scaled frames (..., C, H, W) in the units of the data."""
        if isinstance(frames, np.ndarray):
            return self.undo(torch.from_numpy(np.array(frames, np.float32))).numpy()
        low, span = self._constants(frames.device)
        values = frames.float() * span + low
        return torch.expm1(values) if self.kind == "log1p" else values

    @property
    def meaning(self) -> str:
        """Meaning of scaled values, for the definitions of metrics."""
        if self.kind == "none":
            return "values as stored (data.normalize=none)"
        if self.kind == "standard":
            return "values scaled to mean 0 and deviation 1 (data.normalize=standard)"
        option = "data.range" if self.kind == "range" else f"data.normalize={self.kind}"
        return f"values scaled to [0, 1] ({option})"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for checkpoints and results; `from_dict` reads them."""
        return {key: list(v) if not isinstance(v, str) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Scale":
        """Build the scale that `as_dict` described."""
        fields = ("low", "span", "channels", "units")
        if set(values) != {"kind", *fields} or values["kind"] not in KINDS:
            raise ValueError(f"data.scale has kind, {', '.join(fields)}, not {dict(values)}")
        return cls(values["kind"], *(tuple(values[name]) for name in fields))

    def __str__(self) -> str:
        """Describe the scale for the table at the start of a run."""
        if self.kind == "none":
            return "none: values as stored"
        meaning = {"standard": "mean {:g}, deviation {:g}"}.get(self.kind, "{:g} .. {:g}")
        parts = []
        for name, unit, low, span in zip(
            self.channels, self.units, self.low, self.span, strict=True
        ):
            second = span if self.kind == "standard" else low + span
            bounds = np.expm1([low, second]) if self.kind == "log1p" else (low, second)
            parts.append(f"{name} {meaning.format(*bounds)}{f' {unit}' if unit else ''}")
        return f"{self.kind}: {', '.join(parts)}"

    def _constants(self, device: torch.device) -> list[Tensor]:
        return [torch.tensor(v, device=device).view(-1, 1, 1) for v in (self.low, self.span)]


@dataclass(frozen=True)
class Units:
    """Facts of numbers with units for training, metrics and drawing."""

    scale: Scale
    targets: Sequence[int]  # indices of the channels that are predicted and measured
    metrics: Sequence[str] = ()  # scores in units, see `predcnn.metrics.fields`
    thresholds: Sequence[float] = ()  # of the scores of events
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)  # {"H": (H,), "W": (W,)}
    climatology: np.ndarray | None = None  # mean of the training part, (C, H, W), if needed

    @property
    def names(self) -> list[str]:
        return [self.scale.channels[i] for i in self.targets]

    @property
    def all_channels(self) -> bool:
        return len(self.targets) == len(self.scale.channels)

    def check_horizon(self, horizon: int, trained: int) -> None:
        """Raise ValueError if predictions would be fed back that lack channels of the input."""
        if horizon > trained and not self.all_channels:
            raise ValueError(
                f"only {', '.join(self.names)} of {', '.join(self.scale.channels)} is predicted "
                f"(data.targets), so no prediction can be fed back: at most {trained} frames, not "
                f"{horizon}; train with data.frames_out={horizon}"
            )


def fit_scale(
    kind: str, frames: Iterable[np.ndarray], channels: Sequence[str], units: Sequence[str]
) -> Scale:
    """Fit "minmax", "standard" or "log1p" to frames (T, C, H, W), part by part; NaN is ignored."""
    count = len(channels)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    # the first part's mean is subtracted, so that squares lose no digits
    number, total, squares, centre = np.zeros(count), np.zeros(count), np.zeros(count), None
    for part in frames:
        values = np.asarray(part, np.float64)
        if kind == "log1p":
            if np.nanmin(values) <= -1:
                raise ValueError(f"data.normalize=log1p needs values above -1: {np.nanmin(values)}")
            values = np.log1p(values)
        valid = np.isfinite(values)
        axes = (0, 2, 3)
        low = np.minimum(low, np.where(valid, values, np.inf).min(axes))
        high = np.maximum(high, np.where(valid, values, -np.inf).max(axes))
        if centre is None:
            centre = np.where(valid, values, 0).sum(axes) / np.maximum(valid.sum(axes), 1)
        apart = np.where(valid, values - centre[:, None, None], 0)
        number += valid.sum(axes)
        total, squares = total + apart.sum(axes), squares + np.square(apart).sum(axes)
    empty = [name for name, n in zip(channels, number, strict=True) if not n]
    if empty:
        raise ValueError(f"no valid value in the training part of {', '.join(empty)}")
    if kind == "standard":
        mean = total / number
        low, span = centre + mean, np.sqrt(np.maximum(squares / number - mean**2, 0))
    else:
        span = high - low
    span = np.where(span > 0, span, 1.0)  # a constant channel becomes 0
    return Scale(kind, tuple(low.tolist()), tuple(span.tolist()), tuple(channels), tuple(units))
