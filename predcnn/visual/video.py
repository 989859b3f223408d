"""Frames to video files: GIF with Pillow, MP4 and WebM with PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from predcnn.files import replacing
from predcnn.visual.drawing import PALETTE, colour_error, to_rgb, to_unit

CODECS = {".mp4": "h264", ".webm": "vp9"}
CRF = {"h264": "16", "vp9": "24"}  # quality, lower is better


def _pages(frames: Tensor | Sequence[np.ndarray], fps: float) -> np.ndarray:
    """Convert a tensor (T, C, H, W) or pages (H, W, 3) uint8 to (T, H, W, 3) uint8."""
    if not 0 < fps <= 100:
        raise ValueError(f"fps lies in (0, 100], got {fps}")
    if isinstance(frames, Tensor):
        return to_rgb(to_unit(frames))
    shapes = {np.shape(page) for page in frames}
    if len(shapes) != 1:
        raise ValueError(f"a video has at least one frame, all of one shape: {sorted(shapes)}")
    pages = np.asarray(frames)
    if pages.dtype != np.uint8 or pages.ndim != 4 or pages.shape[3] != 3:
        raise ValueError(
            f"frames are uint8 (height, width, 3), or a tensor (T, C, H, W); got {pages.dtype} "
            f"{pages.shape[1:]}"
        )
    return pages


def write_gif(path: str | Path, frames: Tensor | Sequence[np.ndarray], fps: float = 5.0) -> None:
    """Write a GIF that loops forever: one palette, no dithering; the last frame stays a second.

    Args:
        frames: pages (height, width, 3) uint8, or a tensor (T, C, H, W), uint8 or float in [0, 1].
        fps: frames per second, at most 100; players round to hundredths of a second.
    """
    indices, palette = _index(_pages(frames, fps))
    images = [Image.fromarray(index) for index in indices]
    for image in images:
        image.putpalette(palette)
    durations = [round(1000 / fps)] * len(images)
    durations[-1] = round(max(1000 / fps, 1000))
    options = {"save_all": True, "append_images": images[1:], "duration": durations, "loop": 0}
    with replacing(path) as temporary:
        images[0].save(temporary, format="GIF", **options)


def _index(pages: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Convert pages (T, H, W, 3) to indices (T, H, W) into one palette of at most 256 colours.

    With more colours those of the page and every sixth of the error map are kept; the rest is a
    median cut over the distinct colours (over all pixels the white margin would dominate).
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
    """Return the colours to keep exactly."""
    error = colour_error(np.linspace(0, 1, 256)[None])[0]
    shown = present[error.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])].mean()
    own = np.array(PALETTE, np.uint8)
    return np.concatenate([own, error[::6]]) if shown > 0.5 else own


def write_video(path: str | Path, frames: Tensor | Sequence[np.ndarray], fps: float = 5.0) -> None:
    """Write a video that browsers play: H.264 to .mp4, VP9 to .webm.

    Args:
        frames: pages (height, width, 3) uint8, or a tensor (T, C, H, W), uint8 or float in [0, 1].
            Odd sizes get a repeated row or column, as yuv420p needs even ones.
        fps: frames per second, at most 100.
    """
    path = Path(path)
    if path.suffix.lower() not in CODECS:
        raise ValueError(f"a video is written to .mp4 or .webm, not to {path.name!r}")
    pages = _pages(frames, fps)
    _, height, width, _ = pages.shape
    pages = np.pad(pages, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with replacing(path) as temporary:
        _encode(temporary, pages, Fraction(fps).limit_denominator(1000))


def _encode(path: Path, pages: np.ndarray, fps: Fraction) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    codec = CODECS[path.suffix.lower()]
    # index first: a browser starts before it has the complete file
    options = {"movflags": "+faststart"} if path.suffix.lower() == ".mp4" else {}
    with av.open(str(path), "w", container_options=options) as container:
        try:
            stream = container.add_stream(codec, rate=fps, options={"crf": CRF[codec]})
        except av.codec.codec.UnknownCodecError as error:
            raise RuntimeError(f"PyAV {av.__version__} has no encoder for {codec}") from error
        stream.height, stream.width, stream.pix_fmt = *pages.shape[1:3], "yuv420p"
        stream.codec_context.colorspace = Colorspace.SMPTE170M  # else players guess by the size
        stream.codec_context.color_range = ColorRange.MPEG
        for page in pages:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="rgb24")))
        container.mux(stream.encode())


WRITERS = {"gif": write_gif, "mp4": write_video, "webm": write_video}
"""File ending -> the function that writes it."""
