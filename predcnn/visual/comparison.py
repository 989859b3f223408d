"""Videos of one sequence: input then prediction, or input, truth, prediction, error together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from predcnn.visual.drawing import (
    BLUE,
    BORDER,
    EMPTY,
    INK,
    LINE,
    MARGIN,
    VERMILLION,
    captioned_page,
    colour_bar,
    error_panel,
    fit,
    font,
    panel_size,
    place,
    shorten,
)
from predcnn.visual.frames import check_clip, to_rgb

GAP, LABEL = 12, 22
BAR = 48  # width of the colour bar
FRAME = 4  # thickness of the border around a frame
VISIBLE = 200  # least width of a page and of the longer side of an enlarged frame


@dataclass(frozen=True)
class Panel:
    """A place on the page and the frames it shows, of the input or of the future."""

    label: str
    x: int
    y: int
    frames: np.ndarray
    in_input: bool = False


def sequence_frames(past: Tensor, prediction: Tensor) -> list[np.ndarray]:
    """Draw pages for `write_gif` or `write_video`: the input, then the prediction.

    The input has a blue border, the prediction an orange one. Small frames are enlarged by an
    integer factor, 64 pixels to 256.

    Args:
        past: (T_in, C, H, W), uint8 or float in [0, 1], C 1 or 3.
        prediction: (T_out, C, H, W).

    Returns:
        T_in + T_out arrays (height, width, 3) uint8, of even height and width.
    """
    inputs, _, preds = check_clip(past, None, {"prediction": prediction})
    frames = np.concatenate([to_rgb(inputs), to_rgb(preds["prediction"])])
    factor = math.ceil(VISIBLE / max(frames.shape[1:3]))
    height, width = (factor * n for n in frames.shape[1:3])
    page_width = max(width, VISIBLE) + 2 * MARGIN
    left = (page_width - width) // 2
    pages = []
    for t, frame in enumerate(frames):
        name, colour = ("input", BLUE) if t < len(inputs) else ("prediction", VERMILLION)
        page, top = captioned_page(name, page_width, LINE + height + MARGIN, even=True)
        _draw_time(page, t, len(inputs), len(frames) - len(inputs), top)
        top += LINE + FRAME
        edges = (left - FRAME, top - FRAME, left + width + FRAME - 1, top + height + FRAME - 1)
        ImageDraw.Draw(page).rectangle(edges, fill=colour)
        page.paste(fit(frame, (height, width)), (left, top))
        pages.append(np.asarray(page))
    return pages


def comparison_frames(
    past: Tensor,
    truth: Tensor | None,
    predictions: Mapping[str, Tensor],
    caption: str = "",
) -> list[np.ndarray]:
    """Draw pages for `write_gif` or `write_video`: one per input frame and per lead time.

    The last input frame stays, pale, while the future plays. The error is |prediction - truth| of
    the clipped frames, mean over channels, on a fixed scale from 0 to 1.

    Args:
        past: (T_in, C, H, W), uint8 or float in [0, 1], C 1 or 3.
        truth: (T_out, C, H, W); None: unknown, no error is drawn.
        predictions: name -> (T_out, C, H, W).
        caption: shown above.

    Returns:
        T_in + T_out arrays (height, width, 3) uint8, of even height and width.
    """
    inputs, future, preds = check_clip(past, truth, predictions)
    frames_in, frames_out = len(inputs), len(next(iter(preds.values())))
    size = panel_size(*inputs.shape[2:], target=192 if len(preds) <= 3 else 128)
    panels, width, height = _layout(inputs, future, preds, size)
    page, top = captioned_page(caption, width, LINE + height, even=True)
    top += LINE  # of the lead time
    draw = ImageDraw.Draw(page)
    for panel in panels:
        label = shorten(panel.label, size[1], 13)
        draw.text((panel.x, top + panel.y - 6), label, fill=INK, font=font(13), anchor="ld")
        place(page, Image.new("RGB", size[::-1], EMPTY), panel.x, top + panel.y)
    if future is not None:
        last = panels[-1]
        colour_bar(page, last.x + size[1] + 8, top + last.y, size[0])
    pages = []
    for t in range(frames_in + frames_out):
        current = page.copy()
        for panel in panels:
            shown = _shown(panel, t, frames_in, size)
            if shown is not None:
                current.paste(shown, (panel.x, top + panel.y))
        _draw_time(current, t, frames_in, frames_out, top - LINE)
        pages.append(np.asarray(current))
    return pages


def _layout(
    inputs: np.ndarray,
    future: np.ndarray | None,
    preds: Mapping[str, np.ndarray],
    size: tuple[int, int],
) -> tuple[list[Panel], int, int]:
    """Return the panels, the page's width, and its height below the caption."""
    height, width = size
    across, first = width + GAP, LABEL
    panels = [Panel("input", MARGIN, first, to_rgb(inputs), in_input=True)]
    if future is not None:
        panels.append(Panel("truth", MARGIN + across, first, to_rgb(future)))
    start = len(panels)
    for i, (name, pred) in enumerate(preds.items()):
        panels.append(Panel(name, MARGIN + (start + i) * across, first, to_rgb(pred)))
    columns, rows = len(panels), 1
    if future is not None:
        beside = len(preds) == 1
        rows, columns = (1, columns + 1) if beside else (2, columns)
        y = first if beside else first + height + LABEL + GAP // 2
        for i, pred in enumerate(preds.values()):
            x = MARGIN + (start + beside + i) * across
            panels.append(Panel("|prediction − truth|", x, y, error_panel(pred, future)))
    room = BAR if future is not None else 0
    total_width = 2 * MARGIN + columns * across - GAP + room
    total_height = rows * (height + LABEL) + (rows - 1) * (GAP // 2) + MARGIN
    return panels, total_width, total_height


def _shown(panel: Panel, t: int, frames_in: int, size: tuple[int, int]) -> Image.Image | None:
    if panel.in_input:
        shown = fit(panel.frames[min(t, frames_in - 1)], size)
        pale = Image.new("RGB", shown.size, EMPTY)
        return shown if t < frames_in else Image.blend(shown, pale, 0.6)
    return fit(panel.frames[t - frames_in], size) if t >= frames_in else None


def _draw_time(page: Image.Image, t: int, frames_in: int, frames_out: int, y: int) -> None:
    """Draw the time as text and as a row of marks: input blue, future orange."""
    draw = ImageDraw.Draw(page)
    lead = t - frames_in + 1
    now = f"lead time {lead} of {frames_out}" if lead > 0 else f"input {t + 1} of {frames_in}"
    draw.text((MARGIN, y), now, fill=BLUE if t < frames_in else VERMILLION, font=font(13))
    start = MARGIN + 150
    step = min(10, (page.width - MARGIN - start) / (frames_in + frames_out))
    if step < 3:  # a long sequence: the text alone
        return
    for i in range(frames_in + frames_out):
        colour = BLUE if i < frames_in else VERMILLION
        box = (start + i * step, y + 4, start + (i + 1) * step - 2, y + 12)
        draw.rectangle(box, fill=colour if i <= t else BORDER if i < frames_in else EMPTY)
