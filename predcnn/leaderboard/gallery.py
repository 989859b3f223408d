"""One test sequence predicted by every model: an image per model, and all in one GIF."""

import zipfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from predcnn.visual import drawing, write_gif

MARK = 3  # rows under a frame that mark input (blue) and prediction (orange)
FPS = 5.0
PANEL, GAP, LABEL = 128, 10, 18


def clip(past: np.ndarray, future: np.ndarray) -> list[np.ndarray]:
    """Return frames (H + 3, W, 3) uint8: the input, then the future, marked by a bar below.

    Args:
        past: (T_in, C, H, W) uint8, C 1 or 3.
        future: (T_out, C, H, W) uint8.
    """
    pages = []
    for frames, colour in ((past, drawing.BLUE), (future, drawing.VERMILLION)):
        for frame in frames.transpose(0, 2, 3, 1).repeat(3 // frames.shape[1], axis=3):
            mark = np.broadcast_to(np.array(colour, np.uint8), (MARK, frame.shape[1], 3))
            pages.append(np.concatenate([frame, mark]))
    return pages


def write_gallery(
    path: Path, clips: Sequence[tuple[str, list[np.ndarray]]], columns: int = 6
) -> None:
    """Write labelled clips in one GIF, as a grid."""
    if not clips:
        raise ValueError("a gallery needs at least one clip")
    columns = min(columns, len(clips))
    rows = ceil(len(clips) / columns)
    frame_height, frame_width, _ = clips[0][1][0].shape
    panel = round(PANEL * frame_height / frame_width)
    width, height = PANEL + GAP, panel + LABEL + GAP
    page = Image.new("RGB", (columns * width + GAP, rows * height + GAP), drawing.PAPER)
    draw = ImageDraw.Draw(page)
    places = []
    for i, (label, _) in enumerate(clips):
        x, y = GAP + i % columns * width, GAP + i // columns * height
        text = drawing.shorten(label, PANEL, 12)
        draw.text((x, y), text, fill=drawing.INK, font=drawing.font(12))
        frame = (x - 1, y + LABEL - 1, x + PANEL, y + LABEL + panel)
        draw.rectangle(frame, outline=drawing.BORDER)
        places.append((x, y + LABEL))
    pages = []
    for frames in zip(*(pages for _, pages in clips), strict=True):
        shown = page.copy()
        for frame, place in zip(frames, places, strict=True):
            shown.paste(drawing.fit(np.ascontiguousarray(frame), (panel, PANEL)), place)
        pages.append(np.asarray(shown))
    write_gif(path, pages, fps=FPS)


def write_strip(path: Path, pages: list[np.ndarray]) -> None:
    """Write a clip as one PNG, its frames next to each other; the page shows one at a time."""
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
