"""Moving pictures to files: GIF with Pillow, MP4 with OpenCV."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from torch import Tensor

from predcnn.files import replacing
from predcnn.visual.drawing import (
    BLUE,
    BORDER,
    EMPTY,
    FAINT,
    INK,
    PAPER,
    VERMILLION,
    colour_error,
)
from predcnn.visual.frames import to_rgb, to_unit


def _pages(frames: Tensor | Sequence[np.ndarray]) -> np.ndarray:
    """(T, H, W, 3) uint8 of a tensor (T, C, H, W) or of pages (H, W, 3) uint8."""
    if isinstance(frames, Tensor):
        return to_rgb(to_unit(frames))
    if len(frames) == 0:
        raise ValueError("a film needs at least one frame")
    shapes = {np.shape(page) for page in frames}
    if len(shapes) > 1:
        raise ValueError(f"all frames of a film have one shape, got {sorted(shapes)}")
    pages = np.asarray(frames)
    if pages.dtype != np.uint8 or pages.ndim != 4 or pages.shape[3] != 3:
        raise ValueError(
            f"frames are uint8 (height, width, 3), or a tensor (T, C, H, W); got {pages.dtype} "
            f"{pages.shape[1:]}"
        )
    return pages


def _check_fps(fps: float) -> None:
    if not 0 < fps <= 100:
        raise ValueError(f"fps lies in (0, 100], got {fps}")


def write_gif(
    path: str | Path,
    frames: Tensor | Sequence[np.ndarray],
    fps: float = 5.0,
    *,
    hold_last: float = 1.0,
) -> None:
    """Write a GIF that loops for ever, one palette for all frames, no dithering.

    Args:
        path: the file, replaced at once when it is complete.
        frames: pages (height, width, 3) uint8, or a tensor (T, C, H, W), uint8 or float in [0, 1].
        fps: frames per second, at most 100; players round to hundredths of a second.
        hold_last: seconds that the last frame stays before the film starts again.

    Raises:
        TypeError, ValueError: see above.
    """
    _check_fps(fps)
    pages = _pages(frames)
    indices, palette = _index(pages)
    images = []
    for index in indices:
        images.append(Image.fromarray(index))
        images[-1].putpalette(palette)
    durations = [1000 / fps] * (len(images) - 1) + [max(1000 / fps, 1000 * hold_last)]
    with replacing(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=[round(d) for d in durations],
            loop=0,
        )


def _index(pages: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Pages (T, H, W, 3) as (T, H, W) indices into one palette of at most 256 colours.

    Exact if there are no more colours than that. Else the page's own few colours and a ladder of
    the error's are kept, and the rest is a median cut over the different colours; over all pixels
    a large white margin would leave few shades to the frames.
    """
    packed = pages.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    present = np.zeros(1 << 24, bool)
    present[packed] = True
    colours = _unpack(np.flatnonzero(present))
    palette = colours
    if len(colours) > 256:
        fixed = _kept(present)
        cut = Image.fromarray(colours[None]).quantize(256 - len(fixed), Image.Quantize.MEDIANCUT)
        rest = np.array(cut.getpalette(), np.uint8).reshape(-1, 3)[: 256 - len(fixed)]
        palette = np.concatenate([fixed, rest])
    nearest = np.zeros(1 << 24, np.uint8)
    for part in np.array_split(np.flatnonzero(present), max(1, len(colours) // 4096)):
        apart = _unpack(part).astype(np.int32)[:, None] - palette.astype(np.int32)
        nearest[part] = np.square(apart).sum(-1).argmin(1)
    return nearest[packed], palette.tobytes()


def _unpack(colours: np.ndarray) -> np.ndarray:
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1).astype(np.uint8)


def _kept(present: np.ndarray) -> np.ndarray:
    """Colours to keep exactly: those of the page, and every sixth of an error map that is there."""
    error = colour_error(np.linspace(0, 1, 256)[None])[0]
    shown = present[error.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])].mean()
    own = np.array([PAPER, INK, FAINT, BORDER, EMPTY, BLUE, VERMILLION], np.uint8)
    return np.concatenate([own, error[::6]]) if shown > 0.5 else own


def import_cv2() -> ModuleType:
    """OpenCV, or an ImportError that says what a machine without a display needs."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"OpenCV does not load here ({error}). On a machine without a display use the build "
            "that needs no libGL: pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    return cv2


def write_mp4(
    path: str | Path,
    frames: Tensor | Sequence[np.ndarray],
    fps: float = 5.0,
    *,
    codec: str = "mp4v",
) -> None:
    """Write an MP4 film with OpenCV.

    Args:
        path: the file, ending in .mp4, replaced at once when it is complete.
        frames: pages (height, width, 3) uint8, or a tensor (T, C, H, W), uint8 or float in [0, 1].
            Odd sizes lose nothing, they get a repeated row or column.
        fps: frames per second, at most 100.
        codec: four letters; mp4v is in every OpenCV build, avc1 (H.264, which browsers play) in
            some.

    Raises:
        ImportError: OpenCV does not load.
        RuntimeError: this OpenCV has no such codec.
        TypeError, ValueError: see above.
    """
    _check_fps(fps)
    if Path(path).suffix.lower() != ".mp4":
        raise ValueError(f"an MP4 file ends in .mp4, not {Path(path).name!r}")
    cv2 = import_cv2()
    pages = _pages(frames)
    _, height, width, _ = pages.shape
    pages = np.pad(pages, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    size = (pages.shape[2], pages.shape[1])
    with replacing(path) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*codec), fps, size)
        try:
            if not writer.isOpened():
                raise RuntimeError(
                    f"this OpenCV ({cv2.__version__}) cannot write {codec!r} films of {size[0]}x"
                    f"{size[1]}; try codec='mp4v', or write a GIF"
                )
            for page in pages:
                writer.write(np.ascontiguousarray(page[..., ::-1]))
        finally:
            writer.release()
