"""One test sequence predicted by every model, as an image of its frames."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from predcnn.visual import drawing

MARK = 3  # rows under a frame that mark input (blue) and prediction (orange)


def write_strip(path: Path, past: np.ndarray, future: np.ndarray) -> None:
    """Write a PNG of frames next to each other, input and future marked by a bar below.

    Args:
        path: the file.
        past: (T_in, C, H, W) uint8, C 1 or 3.
        future: (T_out, C, H, W) uint8.
    """
    pages = []
    for frames, colour in ((past, drawing.BLUE), (future, drawing.VERMILLION)):
        for frame in frames.transpose(0, 2, 3, 1).repeat(3 // frames.shape[1], axis=3):
            mark = np.broadcast_to(np.array(colour, np.uint8), (MARK, frame.shape[1], 3))
            pages.append(np.concatenate([frame, mark]))
    image = Image.fromarray(np.concatenate(pages, axis=1))
    drawing.save_png(path, image.quantize(128, dither=Image.Dither.NONE))


def stored(path: Path) -> dict[str, np.ndarray] | None:
    """Read past, truth and prediction of a test sequence; None if there is no valid file."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        with np.load(path) as file:
            frames = {key: file[key] for key in ("past", "truth", "prediction")}
    except (KeyError, ValueError, zipfile.BadZipFile):
        return None
    valid = frames["truth"].shape == frames["prediction"].shape
    for part in frames.values():
        valid &= part.dtype == np.uint8 and part.ndim == 4 and part.shape[1] in (1, 3)
    return frames if valid else None
