"""The pictures of an evaluated run: GIFs and strips of sequences, curves of numbers."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from predcnn.data import to_float
from predcnn.visual import WRITERS, comparison_frames, plot_curves, write_strip
from predcnn.visual.curves import LOSSES


def draw_sequences(
    folder: Path,
    dataset: Dataset,
    predictors: Mapping[str, nn.Module],
    indices: Sequence[int],
    formats: Sequence[str] = ("gif", "png"),
    title: str = "",
    fps: float = 5.0,
) -> list[Path]:
    """Draw sequences of a data set with the predictions of one or several predictors.

    Args:
        folder: where ``sequence_<i>.<format>`` go.
        dataset: gives ``batch(epoch, indices)``.
        predictors: by the name that the caption shows; all for the same shapes.
        indices: which sequences.
        formats: any of gif, mp4, png (a strip).
        title: begins every caption.
        fps: frames per second of moving pictures.
    """
    unknown = sorted(set(formats) - {*WRITERS, "png"})
    if unknown:
        raise ValueError(f"no picture format {unknown}; accepted: gif, mp4, webm, png")
    folder.mkdir(parents=True, exist_ok=True)
    frames_in = next(iter(predictors.values())).in_shape[0]
    written = []
    for index in indices:
        frames = to_float(dataset.batch(0, [index]))
        past, future = frames[:, :frames_in], frames[0, frames_in:]
        preds = {name: _predict(net, past, len(future))[0] for name, net in predictors.items()}
        caption = f"{title}, sequence {index}" if title else f"sequence {index}"
        pictures = None
        for ending in formats:
            path = folder / f"sequence_{index:03d}.{ending}"
            if ending == "png":
                write_strip(path, past[0], future, preds, caption=caption)
            else:
                pictures = pictures or comparison_frames(past[0], future, preds, caption=caption)
                WRITERS[ending](path, pictures, fps=fps)
            written.append(path)
    return written


def _predict(predictor: nn.Module, past: Tensor, horizon: int) -> Tensor:
    device = next((p.device for p in predictor.parameters()), torch.device("cpu"))
    return predictor.predict(past.to(device), horizon=horizon).cpu()


def read_history(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every column of metrics.csv."""
    history: dict[str, tuple[list[int], list[float]]] = {}
    if not path.exists():
        return history
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    steps, values = history.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    return history


def draw_curves(run_dir: Path, results: dict) -> Path:
    """curves.png of a run: loss by step, error by lead time beside repeating the last frame."""
    path = run_dir / "curves.png"
    curves = {results["name"]: results["per_frame"], "copy last": results["copy_last"]["per_frame"]}
    plot_curves(path, read_history(run_dir / "metrics.csv"), curves)
    return path


def draw_losses(run_dir: Path) -> None:
    """curves.png of a run without predictions: the losses by step, where some were logged."""
    history = read_history(run_dir / "metrics.csv")
    if any(name in history for name in LOSSES):
        plot_curves(run_dir / "curves.png", history, {})
