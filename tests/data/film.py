"""Clips for tests, written here: a square that moves one pixel a frame."""

from pathlib import Path

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


def write_pictures(folder: Path, frames: np.ndarray, ending: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames):
        done, data = cv2.imencode(ending, frame[..., ::-1] if frame.ndim == 3 else frame)
        assert done
        (folder / f"frame{t}{ending}").write_bytes(data.tobytes())
