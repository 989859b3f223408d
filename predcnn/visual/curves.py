"""Figures of lines: losses of a run, errors by lead time, and others."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from predcnn.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"train/loss": ("training", "#0072B2"), "val/loss": ("validation", "#D55E00")}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = ("o", "s", "^", "D", "v", "P")
PIXELS = 1200  # smallest width of a figure
Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # name -> (x, y)
MANY = 24  # points from which on marks would touch each other
REFERENCES = ("copy last",)  # drawn as grey dashed lines
TITLES = {
    "mse": "MSE per frame ↓",
    "mae": "MAE per frame ↓",
    "rmse": "RMSE per frame ↓",
    "ssim": "SSIM ↑",
    "ssim_openstl": "SSIM (data range 2) ↑",
    "psnr": "PSNR in dB ↑",
    "lpips": "LPIPS ↓",
}


def plot_curves(
    path: str | Path,
    history: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    per_frame: Mapping[str, Mapping[str, Sequence[float | None]]],
    metrics: Sequence[str] = ("mse", "ssim"),
) -> None:
    """Draw loss against step and, next to it, each metric against lead time.

    Args:
        path: a .png, .svg or .pdf file.
        history: "train/loss" and "val/loss" -> (steps, values); others are not drawn.
        per_frame: name of a model -> {metric: one value per lead time}; None and Inf leave a gap.
        metrics: one panel each; those that no model has are left out.
    """
    losses = {name: history[name] for name in LOSSES if name in history and len(history[name][0])}
    drawn = [m for m in metrics if any(m in curves for curves in per_frame.values())]
    count = bool(losses) + len(drawn)
    if not count:
        raise ValueError(f"nothing to draw: no losses, no {', '.join(metrics)} by lead time")
    figure = new_figure(4.6 * count, 3.7)
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    if losses:
        _draw_losses(axes.pop(0), losses)
    for ax, metric in zip(axes, drawn, strict=True):
        _draw_lead_times(ax, metric, {n: c[metric] for n, c in per_frame.items() if metric in c})
    save_figure(path, figure)


def new_figure(width: float, height: float) -> "Figure":
    """Create a figure of ``width`` x ``height`` inches and at least `PIXELS` pixels width."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dpi = max(150, math.ceil(PIXELS / width))
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(path: str | Path, figure: "Figure") -> None:
    """Write a figure in the format of the file's ending, atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary)


def plain_axes(ax: "Axes", title: str, x_label: str, legend: str = "best") -> None:
    """Set title, label, legend and a pale grid; hide the frame on top and right."""
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(x_label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, which="major", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize=9, loc=legend)


def _draw_losses(ax: "Axes", losses: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> None:
    for name, (steps, values) in losses.items():
        label, colour = LOSSES[name]
        values = np.asarray(values, float)
        window = len(values) // 25
        if window > 1:  # many points: the smoothed curve on top of the noise
            ax.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
            smooth = np.convolve(values, np.ones(window) / window, mode="valid")
            middle = steps[window // 2 :][: len(smooth)]
            ax.plot(middle, smooth, color=colour, linewidth=1.8, label=label)
        else:
            marker = "o" if len(values) < 40 else None
            ax.plot(steps, values, color=colour, marker=marker, markersize=3.5, label=label)
    everything = np.concatenate([np.asarray(values, float) for _, values in losses.values()])
    if everything.min() > 0 and 8 * everything.min() < everything.max() < np.inf:
        ax.set_yscale("log")
    plain_axes(ax, "Loss", "step")


def _draw_lead_times(ax: "Axes", metric: str, curves: Mapping[str, Sequence[float | None]]) -> None:
    from matplotlib.ticker import MaxNLocator

    lines = {}
    for name, values in curves.items():
        heights = np.array([np.nan if v is None else v for v in values], float)
        heights[~np.isfinite(heights)] = np.nan
        lines[name] = (np.arange(1, len(heights) + 1), heights)
    _draw_lines(ax, lines, list(lines))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain_axes(ax, TITLES.get(metric, metric), "lead time in frames")


def plot_lines(
    path: str | Path,
    diagrams: Mapping[str, Lines],
    x_label: str,
    *,
    y_label: str = "",
    logarithmic: bool = False,
) -> None:
    """Draw one diagram per title, side by side, with one line per name."""
    if not diagrams:
        raise ValueError("nothing to draw: no diagrams")
    figure = new_figure(4.2 * len(diagrams), 3.5)
    names = list(dict.fromkeys(name for lines in diagrams.values() for name in lines))
    axes = figure.subplots(1, len(diagrams), squeeze=False)[0]
    for ax, (title, lines) in zip(axes, diagrams.items(), strict=True):
        _draw_lines(ax, lines, names)
        if logarithmic:
            ax.set_yscale("log")
        many = any(len(x) > MANY for x, _ in lines.values())
        # The best place takes seconds to find among many points; ranks fall from the left.
        plain_axes(ax, title, x_label, "lower left" if many else "best")
    axes[0].set_ylabel(y_label)
    save_figure(path, figure)


def _draw_lines(ax: "Axes", lines: Lines, names: Sequence[str]) -> None:
    names = [name for name in names if name not in REFERENCES]
    for name, (x, y) in lines.items():
        style = {"color": "#777777", "linestyle": "--", "linewidth": 1.6}
        if name in names:
            rank = names.index(name)
            style = {"color": COLOURS[rank % len(COLOURS)]}
            style["linestyle"] = "-" if rank < len(COLOURS) else "--"
            if len(x) <= MANY:
                style |= {"marker": MARKS[rank % len(MARKS)], "markersize": 4}
        ax.plot(x, y, label=name, **style)
