"""One test sequence predicted by every model: a GIF per model, and all in one GIF."""

import io
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from predcnn.visual import write_gif
from predcnn.visual.drawing import BLUE, BORDER, INK, PAPER, VERMILLION, fit, font, shorten

MARK = 3  # rows under a frame that mark input (blue) and prediction (orange)
FPS = 5.0
PANEL, GAP, LABEL = 128, 10, 18


def clip(past: np.ndarray, future: np.ndarray) -> list[np.ndarray]:
    """Return frames (H + 3, W, 3) uint8: the input, then the future, marked by a colour below.

    Args:
        past: (T_in, C, H, W) uint8, C 1 or 3.
        future: (T_out, C, H, W) uint8.
    """
    pages = []
    for frames, colour in ((past, BLUE), (future, VERMILLION)):
        for frame in frames.transpose(0, 2, 3, 1).repeat(3 // frames.shape[1], axis=3):
            mark = np.broadcast_to(np.array(colour, np.uint8), (MARK, frame.shape[1], 3))
            pages.append(np.concatenate([frame, mark]))
    return pages


def write_gallery(path: Path, clips: Mapping[str, list[np.ndarray]], columns: int = 6) -> None:
    """Write all clips in one GIF, a labelled grid."""
    if not clips:
        raise ValueError("a gallery needs at least one clip")
    columns = min(columns, len(clips))
    rows = ceil(len(clips) / columns)
    frame_height, frame_width, _ = next(iter(clips.values()))[0].shape
    panel = round(PANEL * frame_height / frame_width)
    width, height = PANEL + GAP, panel + LABEL + GAP
    page = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    draw = ImageDraw.Draw(page)
    places = []
    for i, label in enumerate(clips):
        x, y = GAP + i % columns * width, GAP + i // columns * height
        draw.text((x, y), shorten(label, PANEL, 12), fill=INK, font=font(12))
        draw.rectangle((x - 1, y + LABEL - 1, x + PANEL, y + LABEL + panel), outline=BORDER)
        places.append((x, y + LABEL))
    pages = []
    for frames in zip(*clips.values(), strict=True):
        shown = page.copy()
        for frame, place in zip(frames, places, strict=True):
            shown.paste(fit(np.ascontiguousarray(frame), (panel, PANEL)), place)
        pages.append(np.asarray(shown))
    write_gif(path, pages, fps=FPS)


def gif_bytes(pages: list[np.ndarray]) -> bytes:
    """Encode a clip as a GIF that loops forever."""
    images = [Image.fromarray(page).quantize(128, dither=Image.Dither.NONE) for page in pages]
    held = [round(1000 / FPS)] * (len(images) - 1) + [1000]
    target = io.BytesIO()
    images[0].save(
        target, format="GIF", save_all=True, append_images=images[1:], duration=held, loop=0
    )
    return target.getvalue()
