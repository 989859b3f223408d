"""What is drawn of frames that are no pictures: one channel at a time, on one range."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from predcnn.data.scale import Units


@dataclass(frozen=True)
class View:
    """One sequence as frames that can be drawn, (T, 1 or 3, H, W) in [0, 1].

    Args:
        past: input frames.
        truth: those that followed; None if unknown.
        predictions: by name.
        suffix: of the file name, "" for pictures.
        caption: what the values mean, "" for pictures.
    """

    past: Tensor
    truth: Tensor | None
    predictions: Mapping[str, Tensor]
    suffix: str = ""
    caption: str = ""


def views_of(
    past: Tensor, truth: Tensor | None, predictions: Mapping[str, Tensor], units: Units | None
) -> list[View]:
    """Return the frames (T, C, H, W) as they are drawn.

    Grey and RGB frames are one view. Others are one view per channel; with units, per target
    channel, black to white being the range of the scale, or of input and truth without one. Missing
    values are black.
    """
    channels = past.shape[1]
    if units is None and channels in (1, 3):
        return [View(past, truth, predictions)]
    if units is None:
        indices, names = range(channels), [f"channel{i}" for i in range(channels)]
    else:
        indices, names = units.targets, units.names
    found = []
    for i, name in zip(indices, names, strict=True):
        known = [part[:, i] for part in (past, truth) if part is not None]
        low, high = _bounds(known, units)
        show = _shown(i, low, high)
        suffix = f"_{re.sub(r'[^A-Za-z0-9-]+', '_', name)}" if len(names) > 1 else ""
        caption = f", {name} {_range_text(low, high, i, units)}"
        shown = {label: show(pred) for label, pred in predictions.items()}
        future = None if truth is None else show(truth)
        found.append(View(show(past), future, shown, suffix, caption))
    return found


def _bounds(known: list[Tensor], units: Units | None) -> tuple[float, float]:
    """Return the scaled values that are black and white."""
    if units is None or units.scale.bounded:
        return 0.0, 1.0
    values = [part[part.isfinite()] for part in known]
    low = min((float(v.min()) for v in values if v.numel()), default=0.0)
    high = max((float(v.max()) for v in values if v.numel()), default=1.0)
    return low, high if high > low else low + 1.0


def _shown(channel: int, low: float, high: float) -> Callable[[Tensor], Tensor]:
    """Return a function (T, C, H, W) -> (T, 1, H, W) in [0, 1]."""

    def show(frames: Tensor) -> Tensor:
        values = (frames[:, channel : channel + 1].float() - low) / (high - low)
        return values.nan_to_num(nan=0).clamp(0, 1)

    return show


def _range_text(low: float, high: float, channel: int, units: Units | None) -> str:
    if units is None:
        return "0..1"
    scale = units.scale
    ends = []
    for value in (low, high):
        frame = Tensor([value]).expand(len(scale.channels)).reshape(-1, 1, 1)
        ends.append(float(scale.undo(frame)[channel]))
    unit = scale.units[channel]
    return f"{ends[0]:.4g}..{ends[1]:.4g}{f' {unit}' if unit else ''}"
