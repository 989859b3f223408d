"""Forecasts of numbers with units: scaled for the network, returned in units."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.arrays.recordings import find_recordings
from predcnn.data.grey import with_grey
from predcnn.data.scale import Scale, Units
from predcnn.forecasting.recordings import Recording


def units_of(about: Mapping[str, object]) -> Units | None:
    """Return the units that a checkpoint was trained with, from its description; None: frames."""
    data = about.get("run", {}).get("data", {})
    if data.get("scale") is None:
        return None
    scale = Scale.from_dict(data["scale"])
    names = list(scale.channels)
    targets = [names.index(name) for name in data.get("targets") or names]
    metrics = [name for name in data.get("metrics", ()) if name != "acc"]  # has no climatology here
    return Units(scale, targets, metrics, data.get("thresholds", ()))


class ScaledPredictor:
    """A predictor whose ``predict`` takes and returns values in units; NaN where missing."""

    def __init__(self, predictor: nn.Module, units: Units) -> None:
        self.predictor, self.units = predictor, units
        self.in_shape, self.frames_out = predictor.in_shape, predictor.frames_out

    def shown(self, frames: Tensor) -> Tensor:
        return frames

    def predict(self, frames: Tensor, horizon: int | None = None) -> Tensor:
        """Predict (B, T, C, H, W); channels other than the targets are NaN."""
        units = self.units
        units.check_horizon(horizon or self.frames_out, self.frames_out)
        scaled = units.scale.apply(frames).nan_to_num(nan=0)
        found = units.scale.undo(self.predictor.predict(scaled, horizon=horizon, any_range=True))
        others = [i for i in range(found.shape[2]) if i not in units.targets]
        found[:, :, others] = torch.nan
        return found


def as_field_batch(frames: Tensor | np.ndarray, units: Units, grey: bool = False) -> Tensor:
    """Return values in units as float32 (B, T, C, H, W); (T, C, H, W) is a batch of one.

    With ``grey`` they are colours, and grey replaces green, see `predcnn.data.grey`.
    """
    batch = torch.as_tensor(np.asarray(frames), dtype=torch.float32)
    channels = len(units.scale.channels)
    if batch.ndim not in (4, 5) or batch.shape[-3] != channels:
        raise ValueError(
            f"values are (T, C, H, W) or (B, T, C, H, W) with the {channels} channels "
            f"{', '.join(units.scale.channels)}, not {tuple(batch.shape)}"
        )
    batch = torch.from_numpy(with_grey(batch.numpy())) if grey else batch
    return batch if batch.ndim == 5 else batch[None]


def open_fields(
    inputs: Sequence[str | Path], data: Mapping[str, object], units: Units
) -> list[Recording]:
    """Return every recording in array files.

    They are read with the ``variables``, ``layout`` and ``mask`` of the checkpoint's ``data``, and
    the arrays that its ``split`` names for the test; the coordinates in ``units`` become those of
    the files.
    """
    found = []
    kept = {name: data.get(name) for name in ("variables", "targets", "layout", "mask")}
    if data.get("split"):
        kept["split"] = {"train": [], "test": data["split"]["test"]}
    for place in inputs:
        options = ArrayOptions(root=place, frames_in=data["frames_in"], frames_out=1, **kept)
        catalogue = find_recordings(options)
        if len(catalogue.channels) != len(units.scale.channels):
            raise ValueError(
                f"{place} has the channels {', '.join(catalogue.channels)}, the checkpoint was "
                f"trained on {', '.join(units.scale.channels)}"
            )
        located = replace(units, coords=catalogue.coords)
        for recording in catalogue.recordings:

            def frames(times: range, recording: object = recording) -> Tensor:
                values = recording.values(data.get("mask"), times[0], times[-1] + 1, times.step)
                return torch.from_numpy(np.asarray(values, np.float32))

            found.append(Recording(_label(recording.name), recording.frames, frames, units=located))
    return found


def _label(name: str) -> str:
    path, _, index = name.partition("[")
    stem = Path(path).with_suffix("").as_posix().replace("/", "_").replace(":", "_")
    return f"{stem}_{index.rstrip(']')}" if index else stem
