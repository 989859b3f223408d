"""Images and heat maps in rows and columns, as one figure with a colour bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from predcnn.visual.curves import new_figure, save_figure
from predcnn.visual.drawing import ERROR_MAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE, LINE, BAR = 1.7, 0.2, 0.9  # inches: of a panel, of a line of text, of the colour bar
TEXT = 9  # points
OVERLAY, OPACITY = "turbo", 0.5


@dataclass(frozen=True)
class Panel:
    """One cell of a figure."""

    image: np.ndarray | None = None  # (H, W) grey or (H, W, 3) RGB in [0, 1]
    heat: np.ndarray | None = None  # (h, w) in [0, 1], drawn over the image or alone
    title: str = ""


def frame_image(frame: Tensor) -> np.ndarray:
    """Convert a frame (C, H, W) to (H, W) grey or (H, W, 3)."""
    image = frame[0] if len(frame) == 1 else frame.permute(1, 2, 0)
    return image.detach().cpu().numpy()


def plot_panels(
    path: str | Path,
    rows: Sequence[Sequence[Panel]],
    labels: Sequence[str] = (),
    title: str = "",
    *,
    bar: str = "",
    ticks: Mapping[float, str] | None = None,
) -> None:
    """Draw rows of panels, all rows of one length, and the colour bar of their heat maps.

    Args:
        path: a .png, .svg or .pdf file, written atomically.
        labels: one per row, on its left; or none.
        bar: label of the colour bar.
        ticks: value in [0, 1] -> text on the colour bar; None: plain numbers.
    """
    columns = {len(row) for row in rows}
    if len(columns) != 1 or 0 in columns or len(labels) not in (0, len(rows)):
        raise ValueError(
            f"a figure has rows of one length and as many labels or none, not rows of "
            f"{[len(row) for row in rows]} and {len(labels)} labels"
        )
    (across,) = columns
    heated = [panel for row in rows for panel in row if panel.heat is not None]
    lines = [max(panel.title.count("\n") + bool(panel.title) for panel in row) for row in rows]
    width = across * SIDE + 2 * LINE * bool(labels) + BAR * bool(heated)
    figure = new_figure(width, len(rows) * SIDE + LINE * (sum(lines) + 2 * bool(title)))
    if title:
        figure.suptitle(title, fontsize=TEXT + 1)
    cells = figure.subplots(len(rows), across, squeeze=False)
    for i, row in enumerate(rows):
        for ax, panel in zip(cells[i], row, strict=True):
            _draw(ax, panel)
        if labels:
            cells[i][0].set_ylabel(labels[i], fontsize=TEXT)
    if heated:
        _draw_bar(figure, cells, heated[0].image is None, bar, ticks)
    save_figure(path, figure)


def _draw(ax: "Axes", panel: Panel) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(panel.title, fontsize=TEXT)
    extent, look = None, {"cmap": ERROR_MAP}
    if panel.image is not None:
        ax.imshow(panel.image.clip(0, 1), cmap="gray", vmin=0, vmax=1)
        # the pixels' own coordinates, so that a coarse map covers the image
        extent = (-0.5, panel.image.shape[1] - 0.5, panel.image.shape[0] - 0.5, -0.5)
        look = {"cmap": OVERLAY, "alpha": OPACITY}
    if panel.heat is not None:
        heat = np.asarray(panel.heat)
        ax.imshow(heat, vmin=0, vmax=1, extent=extent, interpolation="nearest", **look)


def _draw_bar(
    figure: "Figure", cells: np.ndarray, alone: bool, label: str, ticks: Mapping | None
) -> None:
    from matplotlib.cm import ScalarMappable

    colours = ScalarMappable(cmap=ERROR_MAP if alone else OVERLAY)
    colours.set_clim(0, 1)
    height = min(1.0, 2 / len(cells))  # of the figure: about two rows
    drawn = figure.colorbar(
        colours, ax=cells, shrink=height, aspect=20, alpha=1 if alone else OPACITY
    )
    drawn.set_label(label, fontsize=TEXT)
    if ticks:
        drawn.set_ticks(list(ticks), labels=list(ticks.values()))
    drawn.ax.tick_params(labelsize=TEXT)
