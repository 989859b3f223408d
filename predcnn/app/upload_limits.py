"""Limits of uploads to the demo: anyone who reaches the page may send a file."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from predcnn.data.clips.array_files import as_clips
from predcnn.data.clips.sources import ARRAYS, VIDEOS
from predcnn.data.clips.videos import open_video
from predcnn.data.sources.known_files import load_arrays

MIB = 1 << 20
MOST_BYTES = 100 * MIB  # of a file; of an .npz also unpacked
WIDTH, HEIGHT = 1920, 1080
MOST_FRAMES = 3000
MOST_SECONDS = 60.0  # for reading and predicting
ENDINGS = sorted(VIDEOS | ARRAYS)
LIMITS = (
    f"at most {MOST_BYTES // MIB} MiB, {WIDTH}x{HEIGHT} pixels, {MOST_FRAMES:,} frames and "
    f"{MOST_SECONDS:g} seconds of computation"
)


def check_upload(path: Path) -> None:
    """Refuse an uploaded file that is too large, by its header: nothing is decoded."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path.name}: an upload ends in {', '.join(ENDINGS)}")
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(part.file_size for part in archive.infolist()))
    _check(size <= MOST_BYTES, f"{size / MIB:,.0f} MiB")
    if path.suffix.lower() in VIDEOS:
        with open_video(path) as (_, stream):
            shapes = [(stream.frames, stream.height, stream.width)]
    else:
        content = load_arrays(path)
        arrays = content.values() if isinstance(content, dict) else [content]
        found = [as_clips(array).shape for array in arrays]
        shapes = [(clips * frames, height, width) for clips, frames, height, width, _ in found]
    for frames, height, width in shapes:
        _check(0 < height * width <= HEIGHT * WIDTH, f"{width}x{height} pixels")
        _check(frames <= MOST_FRAMES, f"{frames:,} frames")


def time_limit() -> Callable[..., None]:
    """Return a ``progress`` callback that raises ValueError after `MOST_SECONDS`."""
    end = time.monotonic() + MOST_SECONDS

    def progress(what: str, done: int, total: int | None = None) -> None:
        _check(time.monotonic() < end, f"not finished after {done:,} {what.split(': ')[-1]}")

    return progress


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what}: an upload may have {LIMITS}")
