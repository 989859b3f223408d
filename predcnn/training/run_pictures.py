"""Images of a finished run: GIFs and strips of sequences, curves of numbers."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.utils.data import Dataset

from predcnn.checks import unknown
from predcnn.data import to_float
from predcnn.data.scale import Units
from predcnn.data.views import View, views_of
from predcnn.training.csv_logger import read_history
from predcnn.visual import WRITERS, comparison_frames, plot_curves, write_strip
from predcnn.visual.curves import LOSSES

MOST_CURVES = 5


@contextlib.contextmanager
def warn_of_failure(what: str) -> Iterator[None]:
    """Print a warning where drawing fails: numbers and weights are worth more than images."""
    try:
        yield
    except Exception as error:
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
) -> list[Path]:
    """Draw sequences of a data set with the predictions of one or several predictors.

    Args:
        folder: where ``sequence_<i>.<format>`` are written.
        dataset: has ``batch(epoch, indices)``.
        predictors: by the name in the caption; all take the same shapes.
        indices: which sequences.
        formats: any of gif, mp4, webm, png (a strip).
        title: begins every caption.
        fps: frames per second of videos.
        units: of numbers that are no frames in [0, 1]; every channel has files of its own.
    """
    for ending in formats:
        if ending not in (*WRITERS, "png"):
            raise ValueError(unknown("image format", ending, (*WRITERS, "png")))
    folder.mkdir(parents=True, exist_ok=True)
    frames_in = next(iter(predictors.values())).in_shape[0]
    written = []
    for index in indices:
        batch = dataset.batch(0, [index])
        frames = to_float(batch) if units is None else batch
        past, future = frames[:, :frames_in], frames[0, frames_in:]
        preds = {
            name: _predict(net, past, len(future), units)[0] for name, net in predictors.items()
        }
        caption = f"{title}, sequence {index}" if title else f"sequence {index}"
        for view in views_of(past[0], future, preds, units):
            stem, about = f"sequence_{index:03d}{view.suffix}", f"{caption}{view.caption}"
            written += _write(folder / stem, view, about, formats, fps)
    return written


def _write(stem: Path, view: View, caption: str, formats: Sequence[str], fps: float) -> list[Path]:
    compared, written = None, []
    for ending in formats:
        path = stem.with_name(f"{stem.name}.{ending}")
        if ending == "png":
            write_strip(path, view.past, view.truth, view.predictions, caption=caption)
        else:
            compared = compared or comparison_frames(
                view.past, view.truth, view.predictions, caption=caption
            )
            WRITERS[ending](path, compared, fps=fps)
        written.append(path)
    return written


def _predict(predictor: nn.Module, past: Tensor, horizon: int, units: Units | None) -> Tensor:
    if units is None:
        return predictor.predict(past, horizon=horizon).cpu()
    return predictor.predict(past.nan_to_num(nan=0), horizon=horizon, any_range=True).cpu()


def draw_curves(run_dir: Path, results: dict) -> None:
    """Draw curves.png: loss by step, error by lead time next to the copy-last baseline."""
    curves = {results["name"]: results["per_frame"], "copy last": results["copy_last"]["per_frame"]}
    shown = ["mse", "ssim", *[name for name in results["per_frame"] if name.startswith("rmse(")]]
    history = read_history(run_dir / "metrics.csv")
    plot_curves(run_dir / "curves.png", history, curves, metrics=shown[:MOST_CURVES])


def draw_losses(run_dir: Path) -> None:
    """Draw curves.png of a run without predictions: the losses by step, if any were logged."""
    history = read_history(run_dir / "metrics.csv")
    if any(name in history for name in LOSSES):
        plot_curves(run_dir / "curves.png", history, {})
