"""Line diagrams, one line per network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from predcnn.visual.curves import COLOURS, MARKS, new_figure, plain_axes, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Name -> (x, y)."""
MANY = 24  # points from which on marks would touch each other


def plot_lines(
    path: str | Path,
    diagrams: Mapping[str, Lines],
    x_label: str,
    *,
    y_label: str = "",
    logarithmic: bool = False,
    dpi: int = 80,
) -> None:
    """Draw one diagram per title, side by side, with one line per name."""
    if not diagrams:
        raise ValueError("nothing to draw: no diagrams")
    figure = new_figure(4.2 * len(diagrams), 3.5, dpi)
    names = list(dict.fromkeys(name for lines in diagrams.values() for name in lines))
    axes = figure.subplots(1, len(diagrams), squeeze=False)[0]
    for ax, (title, lines) in zip(axes, diagrams.items(), strict=True):
        _draw(ax, lines, names)
        if logarithmic:
            ax.set_yscale("log")
        many = any(len(x) > MANY for x, _ in lines.values())
        # The best place takes seconds to find among many points; ranks fall from the left.
        plain_axes(ax, title, x_label, "lower left" if many else "best")
    axes[0].set_ylabel(y_label)
    save_figure(path, figure)


def _draw(ax: "Axes", lines: Lines, names: Sequence[str]) -> None:
    for name, (x, y) in lines.items():
        rank = names.index(name)
        style = {"color": COLOURS[rank % len(COLOURS)], "label": name}
        if len(x) <= MANY:
            style |= {"marker": MARKS[rank % len(MARKS)], "markersize": 4}
        ax.plot(x, y, linestyle="-" if rank < len(COLOURS) else "--", **style)
