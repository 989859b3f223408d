"""Output files of forecasts and of their trials."""

from collections.abc import Sequence
from pathlib import Path

from predcnn.checks import one_of
from predcnn.files import write_json
from predcnn.forecasting.result import FORMATS, SHARED, Forecast
from predcnn.visual import plot_curves


def plan_files(
    output: str | None, folder: Path, names: Sequence[str], formats: Sequence[str]
) -> dict[str, list[Path]]:
    """Return the files of each clip, all of different ``names``.

    ``output`` is a file, a folder, or None: ``folder``; ``formats`` are the endings in a folder.
    """
    path = folder if output is None else Path(output).expanduser()
    if not path.suffix or path.is_dir():
        for ending in formats:
            one_of("format", ending, FORMATS)
        return {name: [path / f"{name}.{ending}" for ending in formats] for name in names}
    ending = path.suffix.removeprefix(".").lower()
    one_of("ending of output", ending, FORMATS)
    if len(names) > 1 and ending not in SHARED:
        raise ValueError(
            f"{len(names)} clips do not fit into one file {path.name}: give a folder, "
            f"output=folder formats=[{ending}], or an .npz"
        )
    return {name: [path] for name in names}


def write_forecasts(
    forecasts: Sequence[Forecast], files: dict[str, list[Path]], view: str, fps: float | None
) -> list[Path]:
    """Write every forecast, and the strip, errors (JSON) and error curves of every trial."""
    written: list[Path] = []
    shared: dict[Path, list[Forecast]] = {}
    for item in forecasts:
        known = item if item.truth is not None else item.trial
        for path in files[item.name]:
            if path.suffix.removeprefix(".").lower() in SHARED:
                shared.setdefault(path, []).append(item)
            else:
                shown = known if view == "comparison" and known is not None else item
                written += shown.write(path, view, fps)
        first = files[item.name][0]
        several = len(forecasts) > 1 and first.stem != item.name
        stem = f"{first.stem}_{item.name}" if several else first.stem
        if known is not None:
            written += _write_trial(first.with_name(f"{stem}_trial"), item.name, known)
    for path, items in shared.items():
        SHARED[path.suffix.removeprefix(".").lower()](path, items)
        written.append(path)
    return written


def _write_trial(stem: Path, name: str, trial: Forecast) -> list[Path]:
    strip, errors, curves = (
        stem.with_name(stem.name + ending) for ending in (".png", ".json", "_lead_times.png")
    )
    metrics = trial.metrics
    facts = {"name": name, "verdict": trial.verdict, "scene_cuts": list(trial.cuts)}
    write_json(errors, {**facts, **metrics})
    lines = {name.replace("_", " "): found["per_frame"] for name, found in metrics.items()}
    shown = ("mse", "ssim") if trial.units is None else list(lines["prediction"])[:3]
    plot_curves(curves, {}, lines, metrics=shown)
    return [*trial.write(strip, "comparison", None), errors, curves]
