"""Images of frames: a sequence as rows of input, truth, prediction and error."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from predcnn.visual import drawing
from predcnn.visual.drawing import FAINT, MARGIN

GAP, TIMES, BAR = 4, 18, 44
NAMES = 180  # widest column of row names
COLUMNS = 10  # most frames of a row, evenly spaced with the first and the last


def write_strip(
    path: str | Path,
    past: Tensor,
    truth: Tensor | None,
    predictions: Mapping[str, Tensor],
    caption: str = "",
) -> None:
    """Draw a sequence as a PNG: frames side by side, t <= 0 is input, t = 1 the first lead time.

    Args:
        past: (T_in, C, H, W), uint8 or float in [0, 1], C 1 or 3.
        truth: (T_out, C, H, W); None: unknown, no error is drawn.
        predictions: name -> (T_out, C, H, W).
    """
    inputs, future, preds = drawing.check_clip(past, truth, predictions)
    seen, lead = _spread(len(inputs)), _spread(len(next(iter(preds.values()))))
    input_times = [i - len(inputs) + 1 for i in seen]
    lead_times = [i + 1 for i in lead]
    rows = [("input", drawing.to_rgb(inputs)[seen], input_times)]
    if future is not None:
        rows.append(("truth", drawing.to_rgb(future)[lead], lead_times))
    for name, pred in preds.items():
        rows.append((name, drawing.to_rgb(pred)[lead], lead_times))
        if future is not None:
            rows.append(("error", drawing.error_panel(pred, future)[lead], lead_times))
    size = drawing.panel_size(*inputs.shape[2:], target=112)
    drawing.save_png(path, _draw(rows, size, caption, future is not None))


def _spread(count: int) -> list[int]:
    return np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(int).tolist()


def _draw(
    rows: Sequence[tuple[str, np.ndarray, list[int]]],
    size: tuple[int, int],
    caption: str,
    with_error: bool,
) -> Image.Image:
    """Draw rows of (name, (N, H, W, 3) uint8, times); times are above where they change."""
    height, width = size
    columns = max(len(times) for _, _, times in rows)
    names = [drawing.shorten(name, NAMES, 13) for name, _, _ in rows]
    left = MARGIN + 14 + max(round(drawing.font(13).getlength(name)) for name in names)
    page_width = left + MARGIN + columns * (width + GAP) - GAP + (BAR if with_error else 0)
    timed = [i == 0 or rows[i][2] is not rows[i - 1][2] for i in range(len(rows))]
    body = len(rows) * (height + GAP) + sum(timed) * TIMES + MARGIN
    page, y = drawing.captioned_page(caption, page_width, body)
    for name, (_, frames, times), has_times in zip(names, rows, timed, strict=True):
        if has_times:
            for i, t in enumerate(times):
                at = (left + i * (width + GAP) + width // 2, y + TIMES - 4)
                drawing.write(page, at, f"t = {t}".replace("-", "−"), 11, FAINT, "md")
            y += TIMES
        drawing.write(page, (MARGIN, y + height // 2), name, 13, anchor="lm")
        for i, frame in enumerate(frames):
            drawing.place(page, drawing.fit(frame, size), left + i * (width + GAP), y)
        y += height + GAP
    if with_error:
        drawing.colour_bar(page, left + columns * (width + GAP) + 6, y - height - GAP, height)
    return page
