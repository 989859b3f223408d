"""Clips for tests, written here: a square that moves one pixel a frame."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

CARPHONE = Path(__file__).resolve().parents[2] / "examples/data/carphone_pristine.mp4"


def moving_square(count: int, height: int = 24, width: int = 32, shade: int = 200) -> np.ndarray:
    """(count, height, width, 3) RGB uint8, every frame different."""
    frames = np.full((count, height, width, 3), (10, 40, 90), np.uint8)
    for t, frame in enumerate(frames):
        left = t % (width - 8)
        frame[4:12, left : left + 8] = (shade, 120, 30)
    return frames


def write_video(path: Path, frames: np.ndarray, codec: str = "MJPG") -> None:
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[..., ::-1].copy())
    writer.release()


def write_frames(
    folder: Path,
    frames: np.ndarray,
    ending: str = ".png",
    stem: str = "frame",
    numbers: Iterable[int] = range(10**6),
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in zip(numbers, frames, strict=False):
        done, data = cv2.imencode(ending, frame[..., ::-1] if frame.ndim == 3 else frame)
        assert done
        (folder / f"{stem}{t}{ending}").write_bytes(data.tobytes())


def write_uneven_video(path: Path, frames: np.ndarray, codec: str = "libx264") -> None:
    """B-frames, a keyframe every 17 frames, open GOPs, and frames shown for 10 to 90 ms."""
    durations = np.random.default_rng(0).integers(10, 90, len(frames))
    options = {"x264-params": "open-gop=1"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        context = stream.codec_context
        context.max_b_frames, context.gop_size, context.time_base = 3, 17, Fraction(1, 1000)
        for pixels, time in zip(frames, durations.cumsum(), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = int(time), context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
