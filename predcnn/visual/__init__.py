"""Frames to pictures: films, strips, curves. Every file appears complete or not at all."""

from predcnn.visual.comparison import comparison_frames
from predcnn.visual.curves import plot_curves
from predcnn.visual.film import import_cv2, write_gif, write_mp4
from predcnn.visual.grid import write_grid
from predcnn.visual.lines import plot_lines
from predcnn.visual.panels import Panel, plot_panels
from predcnn.visual.strip import write_strip

__all__ = [
    "Panel",
    "comparison_frames",
    "import_cv2",
    "plot_curves",
    "plot_lines",
    "plot_panels",
    "write_gif",
    "write_grid",
    "write_mp4",
    "write_strip",
]
