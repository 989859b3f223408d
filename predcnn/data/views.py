"""Frames of any channels as images: one channel at a time, on one range."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from predcnn.data.scale import Units


@dataclass(frozen=True)
class View:
    """One sequence as frames that can be drawn, (T, 1 or 3, H, W) in [0, 1]."""

    past: Tensor
    truth: Tensor | None
    predictions: Mapping[str, Tensor]
    suffix: str = ""  # of the file name
    caption: str = ""


def views_of(
    past: Tensor, truth: Tensor | None, predictions: Mapping[str, Tensor], units: Units | None
) -> list[View]:
    """Return the frames (T, C, H, W) as they are drawn.

    Grey and RGB frames are one view. Others are one view per channel; with units, per target
    channel, black to white being the range of the scale, or of input and truth without one. Missing
    values, and predictions of them, are black.
    """
    channels = past.shape[1]
    if units is None and channels in (1, 3):
        return [View(past, truth, predictions)]
    indices = range(channels) if units is None else units.targets
    names = [f"channel{i}" for i in indices] if units is None else units.names
    if truth is not None:  # nothing is known about the error there
        predictions = {k: v.where(truth.isfinite(), torch.nan) for k, v in predictions.items()}
    found = []
    for i, name in zip(indices, names, strict=True):
        low, high = _bounds(past[:, i], None if truth is None else truth[:, i], units)
        suffix = f"_{re.sub(r'[^A-Za-z0-9-]+', '_', name)}" if len(names) > 1 else ""
        shown = {label: _shown(pred, i, low, high) for label, pred in predictions.items()}
        future = None if truth is None else _shown(truth, i, low, high)
        caption = f", {name} 0..1"
        if units is not None:
            scale = units.scale
            ends = torch.tensor([low, high]).view(2, 1, 1, 1).expand(-1, channels, -1, -1)
            first, last = scale.undo(ends)[:, i].flatten().tolist()
            caption = f", {name} {first:.4g}..{last:.4g} {scale.units[i]}".rstrip()
        found.append(View(_shown(past, i, low, high), future, shown, suffix, caption))
    return found


def _bounds(past: Tensor, truth: Tensor | None, units: Units | None) -> tuple[float, float]:
    """Return the scaled values that are black and white."""
    if units is None or units.scale.bounded:
        return 0.0, 1.0
    values = past.flatten() if truth is None else torch.cat([past.flatten(), truth.flatten()])
    values = values[values.isfinite()]
    low, high = (float(v) for v in torch.aminmax(values)) if values.numel() else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _shown(frames: Tensor, channel: int, low: float, high: float) -> Tensor:
    values = (frames[:, channel : channel + 1].float() - low) / (high - low)
    return values.nan_to_num(nan=0).clamp(0, 1)
