"""A forecast with its past, truth and errors, and its output files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from predcnn.checks import needed, one_of
from predcnn.data.scale import Units
from predcnn.data.views import views_of
from predcnn.files import finite, replacing
from predcnn.metrics import video_metrics
from predcnn.metrics.collection import split_values
from predcnn.metrics.fields import FieldScores
from predcnn.metrics.ssim import WINDOW
from predcnn.visual import WRITERS, comparison_frames, sequence_frames, write_strip

METRICS = ("mse", "mae", "ssim", "psnr")
FORMATS = (*WRITERS, "png", "npz", "npy", "nc")
VIEWS = ("sequence", "frames", "comparison")
FPS = 5.0  # of clips without a frame rate


@dataclass(frozen=True)
class Forecast:
    """Predicted frames with the past and, where known, the truth.

    All frames are float32, (T, C, H, W), or (B, T, C, H, W) if a batch was given. Their values are
    in [0, 1] (predictions unclipped), or in units, NaN where missing, if the predictor was trained
    on numbers with units.

    Args:
        name: for captions and file names.
        past: the frames that the predictor saw.
        prediction: the predicted frames.
        truth: the frames that followed ``past``, at most as many as predicted; None if unknown.
        fps: frames per second of the clip; None if unknown.
        trial: a prediction from earlier in the clip, where the truth is known; None if ``truth``
            is known or the clip is too short.
        units: of the values; None for frames in [0, 1].
        cuts: lead times at which a new scene begins in ``truth``; detected in files only.
    """

    name: str
    past: Tensor
    prediction: Tensor
    truth: Tensor | None = None
    fps: float | None = None
    trial: "Forecast | None" = None
    units: Units | None = None
    cuts: tuple[int, ...] = ()

    @cached_property
    def metrics(self) -> dict[str, dict] | None:
        """Errors of the prediction and of repeating the last frame; None without ``truth``.

        {"prediction", "copy_last"} -> {"metrics": {name: value}, "per_frame": {name: [value per
        lead time]}}. MSE and MAE are sums over a frame; ``mse_per_pixel`` is MSE divided by the
        number of values in a frame. Infinite values (PSNR of identical frames) are None.
        """
        if self.truth is None:
            return None
        prediction, copies, truth = self._compared()
        return {
            "prediction": errors_of(prediction, truth, self.units),
            "copy_last": errors_of(copies, truth, self.units),
        }

    def _compared(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the prediction as long as the truth, the repeated last frame, and the truth."""
        count = self.truth.shape[-4]
        copies = self.past[..., -1:, :, :, :].expand_as(self.truth)
        return self.prediction[..., :count, :, :, :], copies, self.truth

    @cached_property
    def mse_ratio(self) -> float | None:
        """MSE divided by that of repeating the last frame; None without any true pixel.

        Of the valid pixels of target channels; values with units are scaled as for the predictor.
        """
        if self.truth is None:
            return None
        frames = self._compared()
        if self.units is not None:
            targets = list(self.units.targets)
            frames = [self.units.scale.apply(part)[..., targets, :, :] for part in frames]
        ours, copy, truth = (part.double() for part in frames)
        valid = ours.isfinite() & copy.isfinite() & truth.isfinite()
        if not valid.any():
            return None
        error, least = ((part - truth)[valid].square().mean() for part in (ours, copy))
        return 1.0 if error == least else float(error / least)

    @property
    def verdict(self) -> str | None:
        """One sentence that compares the MSE with that of repeating the last frame, or None."""
        if (ratio := self.mse_ratio) is None:
            return None
        if ratio > 1:
            by = "which is exact here" if ratio == math.inf else f"{ratio:.3g} times its MSE"
            text = f"worse than repeating the last frame, {by}"
        elif round(1 - ratio, 2):
            text = f"better than repeating the last frame by {1 - ratio:.0%} (MSE)"
        else:
            text = "as good as repeating the last frame"
        if self.cuts:
            times = ", ".join(map(str, self.cuts))
            text += f"; a new scene begins at lead time {times}, which cannot be foreseen"
        return text

    def to_numpy(self) -> np.ndarray:
        """Return the predicted frames as an array, float32, unclipped or in units."""
        return self.prediction.numpy()

    def save(self, path: str | Path, *, view: str = "sequence", fps: float | None = None) -> Path:
        """Write the forecast to a file; return its path, or that of the first channel.

        Args:
            path: .mp4 (H.264), .webm (VP9) or .gif: a video; .png: a strip of input, truth and
                prediction, one file per channel unless frames are grey or RGB images; .npz:
                arrays past, prediction, names and, where known, truth, channels, units and the
                coordinates y, x; .npy: the prediction; .nc: the prediction with all of these.
            view: what a video shows: "sequence", the input, then the prediction, enlarged and
                with the lead time; "frames", the predicted frames alone, unchanged; or
                "comparison", input, truth, prediction and error next to each other.
            fps: frames per second; None: those of the clip, else 5.

        Raises:
            ValueError: another ending or view, or a batch of several clips for a video or strip.
        """
        return self.write(path, view, fps)[0]

    def write(self, path: str | Path, view: str, fps: float | None) -> list[Path]:
        """Write as `save` does; return all files."""
        path = Path(path).expanduser()
        ending = path.suffix.removeprefix(".").lower()
        one_of("ending of output", ending, FORMATS)
        one_of("view", view, VIEWS)
        if ending in SHARED:
            SHARED[ending](path, [self])
        elif ending == "npy":
            with replacing(path) as temporary:
                np.save(temporary, self.to_numpy())
        else:
            return self._draw(path, ending, view, fps)
        return [path]

    def _draw(self, path: Path, ending: str, view: str, fps: float | None) -> list[Path]:
        past, prediction, truth = map(self._single, (self.past, self.prediction, self.truth))
        if truth is not None:
            prediction = prediction[: len(truth)] if view == "comparison" else prediction
            truth = truth if len(truth) == len(prediction) else None
        if fps is None:  # a clip may state more frames a second than a writer takes
            fps = min(100.0, self.fps or FPS)
        if self.units is not None:
            scale = self.units.scale
            past, prediction = scale.apply(past), scale.apply(prediction)
            truth = None if truth is None else scale.apply(truth)
        written = []
        for shown in views_of(past, truth, {"prediction": prediction}, self.units):
            place, caption = path.with_stem(path.stem + shown.suffix), self.name + shown.caption
            parts = (shown.past, shown.truth, shown.predictions)
            if ending == "png":
                write_strip(place, *parts, caption=caption)
            else:
                pages = shown.predictions["prediction"]
                if view == "sequence":
                    pages = sequence_frames(shown.past, pages)
                elif view == "comparison":
                    pages = comparison_frames(*parts, caption=caption)
                WRITERS[ending](place, pages, fps=fps)
            written.append(place)
        return written

    def _single(self, frames: Tensor | None) -> Tensor | None:
        """Return the frames (T, C, H, W) of the only clip."""
        if frames is None or frames.ndim == 4:
            return frames
        if len(frames) > 1:
            raise ValueError(
                f"a batch of {len(frames)} clips is not a single video: save it as .npz or .npy, "
                "or forecast one clip, frames[i]"
            )
        return frames[0]


def errors_of(prediction: Tensor, truth: Tensor, units: Units | None = None) -> dict[str, dict]:
    """Compute the metrics of frames (T, C, H, W) or (B, T, C, H, W), in total and per lead time.

    SSIM is left out for frames smaller than its window. With units: their own scores.
    """
    if truth.ndim == 4:
        prediction, truth = prediction[None], truth[None]
    if units is None:
        names = [name for name in METRICS if name != "ssim" or min(truth.shape[-2:]) >= WINDOW]
        meters = video_metrics([*names, *(f"{name}_per_frame" for name in names)])
        meters.update(prediction, truth)
    else:
        targets = list(units.targets)
        meters = FieldScores(units.metrics, units.names, units.thresholds, units.coords.get("H"))
        valid = (prediction.isfinite() & truth.isfinite())[:, :, targets]
        meters.update(prediction[:, :, targets], truth[:, :, targets], valid)
        names = list(meters.definitions)
    values = {name: value.tolist() for name, value in meters.compute().items()}
    found = finite(split_values(values, names))
    if units is None:
        totals = found["metrics"]
        per_pixel = totals["mse"] / truth[0, 0].numel()
        found["metrics"] = {"mse": None, "mse_per_pixel": per_pixel} | totals
    return found


def describe_errors(metrics: Mapping[str, dict], digits: int = 4) -> str:
    """Return "mse 12.3 (copy last 15.0), …" for a printed line."""
    ours, copy = metrics["prediction"]["metrics"], metrics["copy_last"]["metrics"]

    def number(key: str, value: float | None) -> str:
        return ("inf" if key == "psnr" else "–") if value is None else f"{value:.{digits}g}"

    return ", ".join(
        f"{key} {number(key, ours[key])} (copy last {number(key, copy[key])})" for key in ours
    )


def write_arrays(path: Path, items: list[Forecast]) -> None:
    """Write forecasts of one shape to an .npz, float32 (N, T, C, H, W), unclipped; names (N,).

    With units also ``channels`` and ``units``, (C,).
    """
    shapes = {tuple(item.prediction.shape) for item in items}
    if len(shapes) > 1:
        raise ValueError(
            f"clips of different sizes do not fit into one array in {path.name}: {sorted(shapes)}; "
            "give a folder, output=folder formats=[npz], or size=model"
        )
    fields = ["past", "prediction"]
    if all(item.truth is not None for item in items):
        fields.append("truth")
    arrays = {name: np.stack([getattr(item, name).numpy() for item in items]) for name in fields}
    if items[0].prediction.ndim == 5:  # a batch already
        arrays = {name: array[0] for name, array in arrays.items()}
    if (units := items[0].units) is not None:
        names = {"channels": units.scale.channels, "units": units.scale.units}
        arrays |= {name: np.array(values) for name, values in (names | _places(units)).items()}
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays, names=np.array([item.name for item in items]))


def write_netcdf(path: Path, items: list[Forecast]) -> None:
    """Write predictions of one shape to a netCDF file: a variable (clip, lead, y, x) per target."""
    xarray = needed("xarray", "arrays")
    frames = np.stack([item.to_numpy() for item in items])
    coords = {"lead": np.arange(1, frames.shape[-4] + 1)}
    if frames.ndim == 6:  # a batch already, of clips without names
        frames = frames[0]
    else:
        coords["clip"] = [item.name for item in items]
    units, names = items[0].units, [f"channel{i}" for i in range(frames.shape[2])]
    known = [""] * len(names)
    if units is not None:
        names, known = units.scale.channels, units.scale.units
    dims = ("clip", "lead", "y", "x")
    variables = {
        name: (dims, frames[:, :, i], {"units": unit} if unit else {})
        for i, (name, unit) in enumerate(zip(names, known, strict=True))
        if units is None or i in units.targets
    }
    with replacing(path) as temporary:
        xarray.Dataset(variables, coords | _places(units)).to_netcdf(temporary, engine="h5netcdf")


def _places(units: Units | None) -> dict[str, np.ndarray]:
    coords = {} if units is None else units.coords
    return {dim: coords[axis] for dim, axis in (("y", "H"), ("x", "W")) if axis in coords}


SHARED = {"npz": write_arrays, "nc": write_netcdf}
"""Ending of files that hold several clips -> the function that writes them."""
