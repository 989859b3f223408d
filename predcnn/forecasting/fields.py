"""Predictors that take and return numbers with units, or some channels of colour videos."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.arrays.recordings import find_recordings
from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.grey import GREY, with_grey
from predcnn.data.scale import Scale, Units
from predcnn.forecasting.recordings import Recording
from predcnn.predictors.protocol import Made


def units_of(data: Mapping[str, object]) -> Units | None:
    """Return the units of a checkpoint's ``data`` in its description; None: frames."""
    if data.get("scale") is None:
        return None
    scale = Scale.from_dict(data["scale"])
    names = list(scale.channels)
    targets = [names.index(name) for name in data.get("targets") or names]
    metrics = [name for name in data.get("metrics", ()) if name != "acc"]  # has no climatology here
    return Units(scale, targets, metrics, data.get("thresholds", ()))


def as_trained(predictor: nn.Module, data: Mapping[str, object]) -> "Adapted":
    """Return the predictor for frames or numbers as its checkpoint's ``data`` held them."""
    units = units_of(data)
    if units is not None:
        return ScaledPredictor(predictor, units)
    return ChosenChannels(predictor, data.get("targets"))


class Adapted:
    """A predictor whose ``predict`` takes frames (B, T, C, H, W) as files hold them."""

    def __init__(self, predictor: nn.Module, units: Units | None) -> None:
        self.predictor, self.units = predictor, units
        self.in_shape, self.frames_out = predictor.in_shape, predictor.frames_out

    def shown(self, frames: Tensor) -> Tensor:
        """Return the channels of frames (..., C, H, W) that ``predict`` gives."""
        return frames


class ChosenChannels(Adapted):
    """A predictor of frames whose ``predict`` gives ``targets`` alone; None: all."""

    def __init__(self, predictor: nn.Module, targets: Sequence[str] | None) -> None:
        options = VideoFolderOptions(".", channels=predictor.in_shape[1], targets=targets or None)
        super().__init__(predictor, options.units)
        self.grey = options.computes_grey

    def predict(self, frames: Tensor, horizon: int, made: Made) -> Tensor:
        """Predict (B, T, targets, H, W) from frames (B, T, C, H, W)."""
        if self.units is None:
            return self.predictor.predict(frames, horizon=horizon, made=made)
        self.units.check_horizon(horizon, self.frames_out)
        return self._chosen(self.predictor.predict(self._seen(frames), horizon=horizon, made=made))

    def shown(self, frames: Tensor) -> Tensor:
        """Return the target channels of frames (..., C, H, W)."""
        return frames if self.units is None else self._chosen(self._seen(frames))

    def _seen(self, frames: Tensor) -> Tensor:
        return torch.from_numpy(with_grey(frames.cpu().numpy())) if self.grey else frames

    def _chosen(self, frames: Tensor) -> Tensor:
        return frames[..., list(self.units.targets), :, :]


class ScaledPredictor(Adapted):
    """A predictor whose ``predict`` takes and returns values in units; NaN where missing."""

    def predict(self, frames: Tensor, horizon: int, made: Made) -> Tensor:
        """Predict (B, T, C, H, W); channels other than the targets are NaN."""
        units = self.units
        units.check_horizon(horizon, self.frames_out)
        scaled = units.scale.apply(frames).nan_to_num(nan=0)
        found = units.scale.undo(self.predictor.predict(scaled, horizon, any_range=True, made=made))
        others = [i for i in range(found.shape[2]) if i not in units.targets]
        found[:, :, others] = torch.nan
        return found


def as_field_batch(frames: Tensor | np.ndarray, data: Mapping[str, object], units: Units) -> Tensor:
    """Return values in units as float32 (B, T, C, H, W); (T, C, H, W) is a batch of one.

    If the checkpoint was trained with grey, computed from colours, as a target, they are colours,
    and grey replaces green, see `predcnn.data.grey`.
    """
    batch = torch.as_tensor(np.asarray(frames), dtype=torch.float32)
    channels = len(units.scale.channels)
    if batch.ndim not in (4, 5) or batch.shape[-3] != channels:
        raise ValueError(
            f"values are (T, C, H, W) or (B, T, C, H, W) with the {channels} channels "
            f"{', '.join(units.scale.channels)}, not {tuple(batch.shape)}"
        )
    if GREY in (data.get("targets") or ()) and GREY not in (data.get("variables") or ()):
        batch = torch.from_numpy(with_grey(batch.numpy()))
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
