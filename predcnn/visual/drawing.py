"""Colours, fonts, panels and the error scale of all images; frames as pixels."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from predcnn.files import replacing

PAPER = (255, 255, 255)
INK = (34, 34, 34)
FAINT = (118, 118, 118)
BORDER = (190, 190, 190)
EMPTY = (238, 238, 238)
# Okabe and Ito's palette, told apart by colour-blind readers.
BLUE = (0, 114, 178)
VERMILLION = (213, 94, 0)
PALETTE = (PAPER, INK, FAINT, BORDER, EMPTY, BLUE, VERMILLION)

MARGIN, LINE = 14, 20  # pixels: around a page, and of a line of its caption
ERROR_MAP = "inferno"  # from 0 to 1


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans of ``size`` pixels, which matplotlib ships."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


@lru_cache
def _error_colours() -> np.ndarray:
    from matplotlib import colormaps

    return np.round(colormaps[ERROR_MAP](np.arange(256))[:, :3] * 255).astype(np.uint8)


def colour_error(error: np.ndarray) -> np.ndarray:
    """Colour errors (..., H, W) in [0, 1] as (..., H, W, 3) uint8."""
    return _error_colours()[np.round(error * 255).astype(np.uint8)]


def error_panel(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Colour |pred - truth|, mean over channels: (T, C, H, W) in [0, 1] -> (T, H, W, 3) uint8."""
    return colour_error(np.abs(pred - truth).mean(1))


def save_png(path: str | Path, page: Image.Image) -> None:
    """Write a page as a PNG, atomically."""
    with replacing(path) as temporary:
        page.save(temporary, format="PNG", optimize=True)


def panel_size(height: int, width: int, target: int) -> tuple[int, int]:
    """Return (height, width) of a panel: a multiple near ``target``, or shrunk to twice of it."""
    longest = max(height, width)
    if longest > 2 * target:
        shrink = 2 * target / longest
        return max(1, round(height * shrink)), max(1, round(width * shrink))
    factor = max(1, round(target / longest))
    return height * factor, width * factor


def fit(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Resize (H, W, 3) uint8 to an image of (height, width); enlarged pixels stay sharp."""
    grows = size[0] >= pixels.shape[0]
    kind = Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS
    return Image.fromarray(pixels).resize((size[1], size[0]), kind)


def place(page: Image.Image, panel: Image.Image, x: int, y: int) -> None:
    """Paste a panel at (x, y) with a thin border."""
    box = (x - 1, y - 1, x + panel.width, y + panel.height)
    ImageDraw.Draw(page).rectangle(box, outline=BORDER)
    page.paste(panel, (x, y))


def colour_bar(page: Image.Image, x: int, y: int, length: int) -> None:
    """Draw the error's scale, vertical, labelled 0, 0.5 and 1."""
    bar = colour_error(np.linspace(1, 0, length)[:, None].repeat(10, 1))
    place(page, Image.fromarray(bar), x, y)
    for value, anchor in ((1.0, "la"), (0.5, "lm"), (0.0, "ld")):
        at = (x + 15, y + round((1 - value) * (length - 1)))
        write(page, at, f"{value:g}", 11, FAINT, anchor)


def write(
    page: Image.Image,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int] = INK,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Draw a line of text of ``size`` pixels; ``anchor`` is Pillow's."""
    ImageDraw.Draw(page).text(at, text, fill=colour, font=font(size, bold), anchor=anchor)


def captioned_page(
    caption: str, width: int, height: int, *, even: bool = False
) -> tuple[Image.Image, int]:
    """Create a page with ``height`` free pixels below the caption; return it and their top."""
    lines = wrap(caption, width - 2 * MARGIN, 14, bold=True)
    top = MARGIN + LINE * len(lines)
    size = (width, top + height)
    page = Image.new("RGB", tuple(n + n % 2 for n in size) if even else size, PAPER)
    for i, line in enumerate(lines):
        write(page, (MARGIN, MARGIN + i * LINE), line, 14, bold=True)
    return page, top


def wrap(text: str, width: int, size: int, bold: bool = False) -> list[str]:
    """Return lines of ``text`` that fit ``width`` pixels."""
    face, lines = font(size, bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(shorten(word, width, size, bold))
    return [line for line in lines if line]


def shorten(text: str, width: int, size: int, bold: bool = False) -> str:
    """Cut ``text`` with an ellipsis where it is wider than ``width`` pixels."""
    face = font(size, bold)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def to_unit(frames: Tensor, name: str = "frames") -> np.ndarray:
    """Convert (T, C, H, W), uint8 or float, C 1 or 3, to a float32 array clipped to [0, 1]."""
    if not isinstance(frames, Tensor):
        raise TypeError(f"{name} is a {type(frames).__name__}, expected a tensor (T, C, H, W)")
    shape = tuple(frames.shape)
    if frames.ndim != 4 or frames.numel() == 0:
        raise ValueError(f"{name} has shape {shape}, expected (T, C, H, W)")
    if shape[1] not in (1, 3):
        raise ValueError(f"{name} has {shape[1]} channels; drawn are 1 (grey) or 3 (RGB)")
    frames = frames.detach().cpu()
    if frames.dtype == torch.uint8:
        return frames.numpy().astype(np.float32) / 255
    if not frames.is_floating_point():
        raise TypeError(f"{name} has dtype {frames.dtype}; drawn are uint8 or float in [0, 1]")
    values = frames.float().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or Inf and cannot be drawn")
    return values.clip(0, 1)


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """Convert (T, 1 or 3, H, W) in [0, 1] to (T, H, W, 3) uint8."""
    pixels = np.round(frames * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def check_clip(
    past: Tensor, truth: Tensor | None, predictions: Mapping[str, Tensor]
) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Convert the parts of a sequence to arrays in [0, 1] of one frame shape and horizon."""
    if not predictions:
        raise ValueError("predictions is empty; give at least one, {name: (T, C, H, W)}")
    inputs = to_unit(past, "past")
    arrays = {name: to_unit(pred, f"prediction {name!r}") for name, pred in predictions.items()}
    future = None if truth is None else to_unit(truth, "truth")
    want = next(iter(arrays.values())).shape if future is None else future.shape
    if inputs.shape[1:] != want[1:]:
        raise ValueError(f"past has frames of {inputs.shape[1:]}, the future of {want[1:]}")
    for name, pred in arrays.items():
        if pred.shape != want:
            raise ValueError(f"prediction {name!r} has shape {pred.shape}, expected {want}")
    return inputs, future, arrays
