"""Videos of one sequence: input then prediction, or input, truth, prediction, error together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from predcnn.visual import drawing
from predcnn.visual.drawing import BLUE, BORDER, EMPTY, LINE, MARGIN, VERMILLION

GAP, LABEL = 12, 22
BAR = 48  # width of the colour bar
FRAME = 4  # thickness of the border around a frame
VISIBLE = 200  # least width of a page and of the longer side of an enlarged frame


@dataclass(frozen=True, eq=False)
class Panel:
    """A labelled place on the page, and the frames of input or future that it shows."""

    label: str
    frames: np.ndarray
    in_input: bool = False

    def at(self, t: int, frames_in: int, size: tuple[int, int]) -> Image.Image | None:
        """Return what the page at time ``t`` shows here; None: nothing yet."""
        if self.in_input:
            shown = drawing.fit(self.frames[min(t, frames_in - 1)], size)
            pale = Image.new("RGB", shown.size, EMPTY)
            return shown if t < frames_in else Image.blend(shown, pale, 0.6)
        return drawing.fit(self.frames[t - frames_in], size) if t >= frames_in else None


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
    inputs, _, preds = drawing.check_clip(past, None, {"prediction": prediction})
    frames = np.concatenate([drawing.to_rgb(inputs), drawing.to_rgb(preds["prediction"])])
    factor = math.ceil(VISIBLE / max(frames.shape[1:3]))
    height, width = (factor * n for n in frames.shape[1:3])
    page_width = max(width, VISIBLE) + 2 * MARGIN
    left = (page_width - width) // 2
    pages = []
    for t, frame in enumerate(frames):
        name, colour = ("input", BLUE) if t < len(inputs) else ("prediction", VERMILLION)
        page, top = drawing.captioned_page(name, page_width, LINE + height + MARGIN, even=True)
        _draw_time(page, t, len(inputs), len(frames) - len(inputs), top)
        top += LINE + FRAME
        edges = (left - FRAME, top - FRAME, left + width + FRAME - 1, top + height + FRAME - 1)
        ImageDraw.Draw(page).rectangle(edges, fill=colour)
        page.paste(drawing.fit(frame, (height, width)), (left, top))
        pages.append(np.asarray(page))
    return pages


def comparison_frames(
    past: Tensor, truth: Tensor | None, predictions: Mapping[str, Tensor], caption: str = ""
) -> list[np.ndarray]:
    """Draw pages for `write_gif` or `write_video`: one per input frame and per lead time.

    The last input frame stays, pale, while the future plays. The error is |prediction - truth| of
    the clipped frames, mean over channels, on a fixed scale from 0 to 1.

    Args:
        past: (T_in, C, H, W), uint8 or float in [0, 1], C 1 or 3.
        truth: (T_out, C, H, W); None: unknown, no error is drawn.
        predictions: name -> (T_out, C, H, W).

    Returns:
        T_in + T_out arrays (height, width, 3) uint8, of even height and width.
    """
    inputs, future, preds = drawing.check_clip(past, truth, predictions)
    size = drawing.panel_size(*inputs.shape[2:], target=192 if len(preds) <= 3 else 128)
    page, top, places = _layout(_rows(inputs, future, preds), size, caption, future is not None)
    frames_in, frames_out = len(inputs), len(next(iter(preds.values())))
    pages = []
    for t in range(frames_in + frames_out):
        current = page.copy()
        for panel, corner in places.items():
            shown = panel.at(t, frames_in, size)
            if shown is not None:
                current.paste(shown, corner)
        _draw_time(current, t, frames_in, frames_out, top)
        pages.append(np.asarray(current))
    return pages


def _layout(
    rows: list[list[Panel | None]], size: tuple[int, int], caption: str, with_error: bool
) -> tuple[Image.Image, int, dict[Panel, tuple[int, int]]]:
    """Draw a page of empty panels; return it, the top of its time, and the panels' corners."""
    height, width = size
    across, down = width + GAP, height + LABEL + GAP // 2
    page_width = 2 * MARGIN + max(map(len, rows)) * across - GAP + with_error * BAR
    body = LINE + len(rows) * down - GAP // 2 + MARGIN
    page, top = drawing.captioned_page(caption, page_width, body, even=True)
    places = {
        panel: (MARGIN + column * across, top + LINE + LABEL + row * down)
        for row, panels in enumerate(rows)
        for column, panel in enumerate(panels)
        if panel is not None
    }
    for panel, (x, y) in places.items():
        drawing.write(page, (x, y - 6), drawing.shorten(panel.label, width, 13), 13, anchor="ld")
        drawing.place(page, Image.new("RGB", size[::-1], EMPTY), x, y)
    if with_error:
        drawing.colour_bar(page, x + width + 8, y, height)
    return page, top, places


def _rows(
    inputs: np.ndarray, future: np.ndarray | None, preds: Mapping[str, np.ndarray]
) -> list[list[Panel | None]]:
    """Return the panels in their rows: errors are next to the only prediction or below several."""
    row = [Panel("input", drawing.to_rgb(inputs), in_input=True)]
    shown = [Panel(name, drawing.to_rgb(pred)) for name, pred in preds.items()]
    if future is None:
        return [row + shown]
    row.append(Panel("truth", drawing.to_rgb(future)))
    errors = [
        Panel("|prediction − truth|", drawing.error_panel(pred, future)) for pred in preds.values()
    ]
    return [row + shown + errors] if len(preds) == 1 else [row + shown, [None, None, *errors]]


def _draw_time(page: Image.Image, t: int, frames_in: int, frames_out: int, y: int) -> None:
    """Draw the time as text and as a row of marks: input blue, future orange."""
    lead = t - frames_in + 1
    now = f"lead time {lead} of {frames_out}" if lead > 0 else f"input {t + 1} of {frames_in}"
    drawing.write(page, (MARGIN, y), now, 13, BLUE if t < frames_in else VERMILLION)
    start = MARGIN + 150
    step = min(10, (page.width - MARGIN - start) / (frames_in + frames_out))
    if step < 3:  # a long sequence: the text alone
        return
    for i in range(frames_in + frames_out):
        colour = BLUE if i < frames_in else VERMILLION
        box = (start + i * step, y + 4, start + (i + 1) * step - 2, y + 12)
        shade = colour if i <= t else BORDER if i < frames_in else EMPTY
        ImageDraw.Draw(page).rectangle(box, fill=shade)
