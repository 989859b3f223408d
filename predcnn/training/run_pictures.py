"""Images of a finished run: GIFs and strips of sequences, curves of numbers."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import nn
from torch.utils.data import Dataset

from predcnn.checks import one_of
from predcnn.data import to_float
from predcnn.data.scale import Units
from predcnn.data.views import View, views_of
from predcnn.training.csv_logger import read_history
from predcnn.visual import WRITERS, comparison_frames, plot_curves, write_strip
from predcnn.visual.curves import LOSSES

MOST_CURVES = 5


@contextlib.contextmanager
def warn_of_failure(what: str) -> Iterator[None]:
    """Print a warning where drawing fails, so that the run keeps its numbers and weights."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        print(f"warning: {what} not drawn: {type(error).__name__}: {error}", flush=True)


def draw_sequences(
    folder: Path,
    dataset: Dataset,
    predictors: Mapping[str, nn.Module],
    indices: Sequence[int],
    formats: Sequence[str] = ("gif", "png"),
    title: str = "",
    fps: float = 5.0,
    units: Units | None = None,
    pattern: str = "sequence_{index:03d}{suffix}",
) -> list[Path]:
    """Draw sequences of a data set with the predictions of one or several predictors.

    Args:
        dataset: has ``batch(epoch, indices)``.
        predictors: by the name in the caption; all take the same shapes.
        formats: any of gif, mp4, webm, png (a strip).
        title: begins every caption.
        units: of physical quantities; every channel then has its own files.
        pattern: of the file names; ``suffix`` names the channel.
    """
    for ending in formats:
        one_of("image format", ending, (*WRITERS, "png"))
    folder.mkdir(parents=True, exist_ok=True)
    frames_in = next(iter(predictors.values())).in_shape[0]
    written = []
    for index in indices:
        batch = dataset.batch(0, [index])
        frames = batch if units is not None and batch.is_floating_point() else to_float(batch)
        past, future = frames[:, :frames_in], frames[0, frames_in:]
        options = {"horizon": len(future), "any_range": units is not None}
        preds = {
            name: predictor.predict(past.nan_to_num(nan=0), **options)[0].cpu()
            for name, predictor in predictors.items()
        }
        caption = f"{title}, sequence {index}" if title else f"sequence {index}"
        for view in views_of(past[0], future, preds, units):
            stem = folder / pattern.format(index=index, suffix=view.suffix)
            written += _write(stem, view, f"{caption}{view.caption}", formats, fps)
    return written


def _write(stem: Path, view: View, caption: str, formats: Sequence[str], fps: float) -> list[Path]:
    shown = (view.past, view.truth, view.predictions)
    compared, written = None, []
    for ending in formats:
        path = stem.with_name(f"{stem.name}.{ending}")
        if ending == "png":
            write_strip(path, *shown, caption=caption)
        else:
            compared = compared or comparison_frames(*shown, caption=caption)
            WRITERS[ending](path, compared, fps=fps)
        written.append(path)
    return written


def draw_curves(run_dir: Path, results: dict) -> None:
    """Draw curves.png: losses by step and, with predictions, errors by lead time."""
    history, curves = read_history(run_dir / "metrics.csv"), {}
    per_frame = results.get("per_frame", {})
    if per_frame:
        curves = {results["name"]: per_frame, "copy last": results["copy_last"]["per_frame"]}
    shown = ["mse", "ssim", *[name for name in per_frame if name.startswith("rmse(")]]
    if curves or any(name in history for name in LOSSES):
        plot_curves(run_dir / "curves.png", history, curves, metrics=shown[:MOST_CURVES])
