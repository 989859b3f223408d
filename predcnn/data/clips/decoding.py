"""Frames out of clips: scanned once, then read by index.

A scan decodes every frame, so that damage shows then and not in the middle of a training; the
packets of very long videos are read instead where `scan` is told so.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from predcnn.data.clips.array_files import read_array, read_folder, scan_array, scan_folder
from predcnn.data.clips.scenes import Survey
from predcnn.data.clips.sources import Clip, ClipError, Source
from predcnn.data.clips.videos import index_video, read_video, scan_video
from predcnn.data.opencv import opencv

READER = "PyAV 1"  # the decoder and its rules, for fingerprints

_READS = {"video": read_video, "images": read_folder, "array": read_array}


def scan(source: Source, name: str, *, complete: bool = True, alone: bool = True) -> list[Clip]:
    """Decode every frame of a source and describe its clips.

    Args:
        source: a file or folder.
        name: of the source, from the root.
        complete: decode very long videos too; False: index those by their packets.
        alone: no other source is scanned meanwhile.
    """
    return _scan(source, name, Survey(), complete, alone)


def read_frames(root: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Read frames of a clip as they are stored, (n, H, W, C); colours are RGB."""
    try:
        return _READS[clip.kind](root / clip.source, clip, list(indices))
    except (ClipError, OSError, opencv().error) as error:
        raise ClipError(f"{clip.name} changed since it was indexed: {error}") from error


def read_end(
    source: Source,
    name: str,
    length: int,
    stop: int | None = None,
    counted: Callable[[int], object] = lambda seen: None,
) -> list[tuple[Clip, int, np.ndarray]]:
    """Return a source's clips, the first kept frame's index, the last frames (n, H, W, C)."""
    kept: deque[np.ndarray] = deque(maxlen=length)
    seen = 0

    def keep(frame: np.ndarray) -> None:
        nonlocal seen
        if stop is None or seen < stop:
            kept.append(frame)
        seen += 1
        counted(seen)

    found = []
    for clip in _scan(source, name, Survey(keep)):
        end = clip.frames if stop is None else min(stop, clip.frames)
        first = max(0, end - length)
        frames = np.stack(kept) if kept else read_array(source.path, clip, range(first, end))
        found.append((clip, first, frames))
    return found


def _scan(
    source: Source, name: str, survey: Survey, complete: bool = True, alone: bool = True
) -> list[Clip]:
    try:
        if source.kind == "array":
            return scan_array(source.path, name)
        if source.kind == "video":
            by_packets = None if complete else index_video(source.path, name)
            return by_packets or scan_video(source.path, name, survey, alone)
        return scan_folder(source, name, survey)
    except (OSError, MemoryError, opencv().error) as error:
        raise ClipError(f"cannot be read: {error}") from error
