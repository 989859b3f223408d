"""Images and heat maps in rows and columns, as one figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from predcnn.visual.curves import new_figure, save_figure
from predcnn.visual.drawing import ERROR_MAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 1.55, 1.75  # inches of a panel with its title
LABEL = 0.3  # inches of a row's label, and of the title
OVERLAY = "turbo"


@dataclass(frozen=True)
class Panel:
    """One cell of a figure."""

    image: np.ndarray | None = None  # (H, W) grey or (H, W, 3) RGB in [0, 1]
    heat: np.ndarray | None = None  # (h, w) in [0, 1], drawn over the image or alone
    title: str = ""


def plot_panels(
    path: str | Path,
    rows: Sequence[Sequence[Panel]],
    labels: Sequence[str] = (),
    title: str = "",
    *,
    dpi: int = 80,
) -> None:
    """Draw rows of panels, all of one length, with one label per row or none."""
    columns = {len(row) for row in rows}
    if len(columns) != 1 or 0 in columns or len(labels) not in (0, len(rows)):
        raise ValueError(
            f"a figure has rows of one length and as many labels or none, not rows of "
            f"{[len(row) for row in rows]} and {len(labels)} labels"
        )
    (across,) = columns
    width, height = across * WIDTH + LABEL * bool(labels), len(rows) * HEIGHT + LABEL * bool(title)
    figure = new_figure(width, height, dpi)
    if title:
        figure.suptitle(title, fontsize=9)
    cells = figure.subplots(len(rows), across, squeeze=False)
    for i, row in enumerate(rows):
        for ax, panel in zip(cells[i], row, strict=True):
            _draw(ax, panel)
        if labels:
            cells[i][0].set_ylabel(labels[i], fontsize=8)
    save_figure(path, figure)


def _draw(ax: "Axes", panel: Panel) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(panel.title, fontsize=7.5)
    if panel.image is not None:
        ax.imshow(panel.image.clip(0, 1), cmap="gray", vmin=0, vmax=1)
    if panel.heat is not None:
        style = {"cmap": ERROR_MAP}
        if panel.image is not None:  # in its coordinates, so that a coarse map covers it
            height, width = panel.image.shape[:2]
            extent = (-0.5, width - 0.5, height - 0.5, -0.5)
            style = {"cmap": OVERLAY, "alpha": 0.5, "extent": extent}
        ax.imshow(panel.heat, vmin=0, vmax=1, interpolation="nearest", **style)
