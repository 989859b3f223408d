"""Forecasts as files: films, strips, arrays, and the errors of their trials."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from predcnn.data.options import nearest
from predcnn.files import replacing, write_json
from predcnn.training.run_pictures import WRITERS
from predcnn.visual import comparison_frames, plot_curves, write_strip

if TYPE_CHECKING:
    from predcnn.app.forecast import Forecast

FORMATS = (*WRITERS, "png", "npz")
VIEWS = ("frames", "comparison")
FPS = 5.0  # of clips that do not say theirs


def check_output(
    output: str | None, folder: Path, names: Sequence[str], formats: Sequence[str]
) -> dict[str, list[Path]]:
    """Name of a recording -> the files it goes to.

    Args:
        output: a file, a folder, or None: ``folder``.
        folder: where files go when nobody says.
        names: of the recordings, all different.
        formats: endings of the files in a folder.

    Raises:
        ValueError: an unknown ending, or several recordings for one film or strip.
    """
    path = folder if output is None else Path(output).expanduser()
    if not path.suffix or path.is_dir():
        for ending in formats:
            nearest("format", ending, FORMATS)
        return {name: [path / f"{name}.{ending}" for ending in formats] for name in names}
    ending = path.suffix.removeprefix(".").lower()
    nearest("ending of output", ending, FORMATS)
    if len(names) > 1 and ending != "npz":
        raise ValueError(
            f"{len(names)} clips do not fit into one file {path.name}: say a folder, "
            f"output=folder formats=[{ending}], or an .npz"
        )
    return {name: [path] for name in names}


def write_forecasts(
    forecasts: Sequence["Forecast"], files: dict[str, list[Path]], view: str, fps: float | None
) -> list[Path]:
    """Write every forecast, and of each trial a strip, errors (JSON) and errors by lead time."""
    nearest("view", view, VIEWS)
    written, arrays = [], {}
    for item in forecasts:
        for path in files[item.name]:
            if path.suffix.lower() == ".npz":
                arrays.setdefault(path, []).append(item)
            else:
                _draw(path, item, view, fps)
                written.append(path)
        first = files[item.name][0]
        several = len(forecasts) > 1 and first.stem != item.name
        stem = f"{first.stem}_{item.name}" if several else first.stem
        if item.trial is not None:
            written += _write_trial(first.with_name(f"{stem}_trial"), item)
    for path, items in arrays.items():
        _write_arrays(path, items)
        written.append(path)
    return written


def _draw(path: Path, item: "Forecast", view: str, fps: float | None) -> None:
    ending = path.suffix.removeprefix(".").lower()
    known = item.trial if view == "comparison" and item.trial is not None else None
    past, truth, prediction = (
        (known.past, known.truth, known.prediction) if known else (item.past, None, item.prediction)
    )
    if ending == "png":
        write_strip(path, past, truth, {"prediction": prediction}, caption=item.name)
        return
    pages: Tensor | list[np.ndarray] = prediction
    if view == "comparison":
        pages = comparison_frames(past, truth, {"prediction": prediction}, caption=item.name)
    if fps is None:  # a clip may claim more frames a second than a writer takes
        fps = min(100.0, item.fps or FPS)
    WRITERS[ending](path, pages, fps=fps)


def _write_trial(stem: Path, item: "Forecast") -> list[Path]:
    trial = item.trial
    strip, errors, curves = (
        stem.with_name(stem.name + ending) for ending in (".png", ".json", "_lead_times.png")
    )
    write_json(errors, {"name": item.name, **trial.errors})
    lines = {
        "prediction": trial.errors["prediction"]["per_frame"],
        "copy last": trial.errors["copy_last"]["per_frame"],
    }
    plot_curves(curves, {}, lines)
    if trial.truth.shape[1] not in (1, 3):
        return [errors, curves]
    caption = f"{item.name}: the last {len(trial.truth)} known frames, predicted"
    write_strip(strip, trial.past, trial.truth, {"prediction": trial.prediction}, caption=caption)
    return [strip, errors, curves]


def _write_arrays(path: Path, items: Sequence["Forecast"]) -> None:
    """.npz: past and prediction, float32 (N, T, C, H, W), unclipped; names (N,)."""
    shapes = {tuple(item.prediction.shape) for item in items}
    if len(shapes) > 1:
        raise ValueError(
            f"clips of different sizes do not stack into {path.name}: {sorted(shapes)}; "
            "say a folder, output=folder formats=[npz], or size=model"
        )
    arrays = {
        "past": np.stack([item.past.numpy() for item in items]),
        "prediction": np.stack([item.prediction.numpy() for item in items]),
        "names": np.array([item.name for item in items]),
    }
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
