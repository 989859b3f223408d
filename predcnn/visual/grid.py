"""Images in several forms side by side."""

from collections.abc import Mapping
from pathlib import Path

from PIL import ImageDraw
from torch import Tensor

from predcnn.visual.drawing import (
    FAINT,
    MARGIN,
    captioned_page,
    fit,
    font,
    panel_size,
    place,
    save_png,
    shorten,
)
from predcnn.visual.frames import to_rgb, to_unit

GAP, LABEL, GROUP = 4, 20, 22


def write_grid(
    path: str | Path, columns: Mapping[str, Tensor], caption: str = "", *, wide: int = 3
) -> None:
    """Draw a PNG of images in several forms, for instance original | masked | reconstruction.

    Args:
        path: the file.
        columns: name -> images (N, C, H, W), uint8 or float in [0, 1], C 1 or 3; one shape.
        caption: shown above.
        wide: images in a row, each with all its forms.
    """
    if not columns:
        raise ValueError("columns is empty; give at least one, {name: (N, C, H, W)}")
    pixels = {name: to_rgb(to_unit(images, name)) for name, images in columns.items()}
    shapes = {name: array.shape for name, array in pixels.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"the columns have different shapes: {shapes}")
    count, *size = next(iter(shapes.values()))[:3]
    height, width = panel_size(*size, target=96)
    wide, forms = min(wide, count), len(pixels)
    group = forms * (width + GAP) - GAP
    page_width = 2 * MARGIN + wide * (group + GROUP) - GROUP
    rows = -(-count // wide)
    body = LABEL + rows * (height + GAP) - GAP + MARGIN
    page, top = captioned_page(caption, page_width, body)
    top += LABEL
    draw = ImageDraw.Draw(page)
    for n in range(count):
        row, column = divmod(n, wide)
        for i, (name, images) in enumerate(pixels.items()):
            x = MARGIN + column * (group + GROUP) + i * (width + GAP)
            if row == 0:
                at = (x + width // 2, top - 6)
                label = shorten(name, width, 11)
                draw.text(at, label, fill=FAINT, font=font(11), anchor="md")
            place(page, fit(images[n], (height, width)), x, top + row * (height + GAP))
    save_png(path, page)
