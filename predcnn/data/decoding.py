"""Frames out of videos, folders of pictures and arrays: scanned once, then read where asked.

A scan decodes every frame, so that what training meets later was seen to decode.
"""

import functools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from predcnn.data.clips import Clip, ClipError, Source, picture_files
from predcnn.data.gif import is_whole_gif
from predcnn.data.opencv import opencv
from predcnn.data.scenes import cuts, thumbnail
from predcnn.data.sources.known_files import UNREADABLE

LOST_SHARE = 0.02  # containers estimate their length: missing more than this is damage
LOST_LEAST = 2  # frames, likewise
CHUNK = 64  # frames of an array looked at together


def scan(source: Source, name: str) -> list[Clip]:
    """The clips of a source, every frame decoded once; ``name`` is its path from the root.

    Raises:
        ClipError: unreadable, truncated, without frames, or of frames that do not fit together.
    """
    try:
        return _SCANS[source.kind](source.path, name)
    except (OSError, MemoryError, opencv().error) as error:
        raise ClipError(f"cannot be read: {error}") from error


def read_frames(root: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Frames of a clip as they are stored, (n, H, W, C); colours are RGB.

    Args:
        root: the folder that ``clip.source`` starts from.
        clip: from `scan`.
        indices: which frames, ascending.

    Raises:
        ClipError: the file changed or vanished since it was scanned.
    """
    try:
        return _READS[clip.kind](root / clip.source, clip, list(indices))
    except (ClipError, OSError, opencv().error) as error:
        raise ClipError(f"{clip.name} cannot be read as when it was indexed: {error}") from error


def _one_size(shapes: set[tuple[int, ...]]) -> None:
    sizes = sorted(f"{shape[1]}x{shape[0]}" for shape in shapes)
    if len(sizes) > 1:
        raise ClipError(f"has frames of different sizes: {', '.join(sizes)}")


# Videos


@contextmanager
def _opened(path: Path) -> Iterator[tuple[ModuleType, object]]:
    cv2 = opencv()
    capture = cv2.VideoCapture(str(path), _backend(cv2))
    try:
        if not capture.isOpened():
            raise ClipError("cannot be opened by OpenCV: damaged, truncated or of an unknown codec")
        yield cv2, capture
    finally:
        capture.release()


def _backend(cv2: ModuleType) -> int:
    """FFmpeg where it is built in: others take a name with digits for a pattern of pictures."""
    registry = cv2.videoio_registry
    return cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in registry.getStreamBackends() else cv2.CAP_ANY


def _scan_video(path: Path, name: str) -> list[Clip]:
    checks, thumbnails, shapes = [], [], set()
    with _opened(path) as (cv2, capture):
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = capture.get(cv2.CAP_PROP_FPS)
        while True:
            there, frame = capture.read()
            if not there:
                break
            checks.append(zlib.crc32(frame))
            thumbnails.append(thumbnail(frame))
            shapes.add(frame.shape)
            _one_size(shapes)
    if not checks:
        raise ClipError("no frame of it can be decoded")
    if declared - len(checks) > max(LOST_LEAST, LOST_SHARE * declared):
        raise ClipError(f"is truncated: {len(checks)} of {declared} frames can be decoded")
    if path.suffix.lower() == ".gif" and not is_whole_gif(path):
        raise ClipError(f"is truncated after {len(checks)} frames: a whole GIF ends in a trailer")
    height, width, _ = shapes.pop()
    scenes = cuts(thumbnails, 255)
    facts = (len(checks), height, width, 3, 255.0, "uint8", scenes, tuple(checks))
    return [Clip(name, name, "video", *facts, fps=fps if 0 < fps <= 1000 else None)]


def _read_video(path: Path, clip: Clip, indices: list[int]) -> np.ndarray:
    frames = _decode(path, clip, indices, seek=True)
    if frames is None:  # a seek in this file does not land where it should
        frames = _decode(path, clip, indices, seek=False)
    return np.stack(frames)


def _decode(path: Path, clip: Clip, indices: list[int], seek: bool) -> list[np.ndarray] | None:
    """RGB frames at ascending indices; None where a seek led to another frame."""
    frames, at = [], 0
    with _opened(path) as (cv2, capture):
        if seek and indices[0]:
            capture.set(cv2.CAP_PROP_POS_FRAMES, indices[0])
            at = indices[0]
        for index in indices:
            while at < index and capture.grab():
                at += 1
            there, frame = capture.read()
            if not there:
                if seek:
                    return None
                raise ClipError(f"frame {index} of {clip.frames} cannot be decoded")
            at += 1
            if seek and not frames and clip.checks and zlib.crc32(frame) != clip.checks[index]:
                return None
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return frames


# Folders of pictures


def _scan_pictures(path: Path, name: str) -> list[Clip]:
    thumbnails, shapes, types = [], set(), set()
    for file in picture_files(path):
        frame = _picture(file)
        thumbnails.append(thumbnail(frame))
        shapes.add(frame.shape)
        types.add(frame.dtype)
        _one_size(shapes)
    if len(types) > 1:
        raise ClipError(f"mixes pictures of {' and '.join(sorted(str(t) for t in types))}")
    (height, width, _), number = shapes.pop(), types.pop()
    white = _white(number)
    facts = (len(thumbnails), height, width, 3, white, str(number), cuts(thumbnails, white))
    return [Clip(name, name, "pictures", *facts)]


def _picture(file: Path) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16."""
    cv2 = opencv()
    data = np.fromfile(file, np.uint8)  # cv2.imread knows no paths beyond ASCII on some systems
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    frame = cv2.imdecode(data, flags) if data.size else None
    if frame is None:
        raise ClipError(f"{file.name} is no picture OpenCV can decode")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _white(kind: np.dtype) -> float:
    if kind not in (np.uint8, np.uint16):
        raise ClipError(f"holds pictures of {kind}; accepted: 8 or 16 bits a channel")
    return float(np.iinfo(kind).max)


def _read_pictures(path: Path, clip: Clip, indices: list[int]) -> np.ndarray:
    files = picture_files(path)
    if len(files) != clip.frames:
        raise ClipError(f"there are {len(files)} pictures, there were {clip.frames}")
    return np.stack([_picture(files[index]) for index in indices])


# Arrays


def _scan_array(path: Path, name: str) -> list[Clip]:
    clips = []
    for key, array in _arrays(path).items():
        rows = as_clips(array)
        if 0 in rows.shape:
            raise ClipError(f"holds no frames: shape {array.shape}")
        white = value_range(array)
        label = f"{name}:{key}" if key else name
        single = array.ndim < 5
        for i, frames in enumerate(rows):
            thumbnails = [thumbnail(frame) for frame in frames]
            facts = (*frames.shape, white, str(array.dtype), cuts(thumbnails, white))
            item = (key, None if single else i)
            own = label if single else f"{label}[{i}]"
            clips.append(Clip(own, name, "array", *facts, item=item))
    return clips


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their name, "" for that of an .npy."""
    return _loaded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)  # an .npz is unpacked as a whole: not again for every batch
def _loaded(path: Path, _changed: int) -> dict[str, np.ndarray]:
    """An .npy is mapped, not read."""
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"": content}
        with content:
            return {key: np.asarray(content[key]) for key in content.files}
    except UNREADABLE as error:
        raise ClipError(f"is damaged, truncated or no array of numbers: {error}") from error


def as_clips(array: np.ndarray) -> np.ndarray:
    """Frames as they are stored -> (N, T, H, W, C), a view.

    Accepted: (N, T, C, H, W), (N, T, H, W, C), (T, H, W, C), (T, C, H, W), (T, H, W). Channels are
    last where the last axis has 1 or 3 entries and the axis they stand on otherwise has not.
    """
    if array.dtype.kind not in "uif":
        raise ClipError(f"holds {array.dtype}, no numbers")
    if array.ndim not in (3, 4, 5):
        raise ClipError(
            f"has shape {array.shape}; accepted: (N, T, C, H, W), (T, H, W, C), (T, H, W)"
        )
    if array.ndim == 3:
        return array[None, ..., None]
    rows = array if array.ndim == 5 else array[None]
    last, first = rows.shape[4] in (1, 3), rows.shape[2] in (1, 3)
    channels_first = first or (array.ndim == 5 and not last)
    if array.ndim == 4 and not (last or first):
        raise ClipError(
            f"has shape {array.shape}: no axis of 1 or 3 channels in (T, H, W, C) or (T, C, H, W); "
            "frames of more channels are stored as (N, T, C, H, W)"
        )
    return np.moveaxis(rows, 2, 4) if channels_first and not (last and array.ndim == 4) else rows


def value_range(array: np.ndarray) -> float:
    """The value that means 1, found from type and largest value: 1, 255 or 65535.

    Raises:
        ClipError: NaN, Inf, negative values or values above 255 (whole numbers: 65535).
    """
    flat = array.reshape(-1) if array.flags.c_contiguous else np.ascontiguousarray(array).ravel()
    step = CHUNK << 16
    parts = [flat[i : i + step] for i in range(0, flat.size, step)]
    low, high = (
        float(function([function(part) for part in parts])) for function in (np.min, np.max)
    )
    if not np.isfinite([low, high]).all():
        raise ClipError("holds NaN or Inf")
    whole = array.dtype.kind in "ui"
    most = 65535 if whole else 255
    if low < 0 or high > most:
        raise ClipError(
            f"has values from {low:.4g} to {high:.4g}: frames lie in 0..1, in 0..255, or as whole "
            "numbers in 0..65535; scale them before"
        )
    if high <= 1:
        return 1.0
    return 255.0 if high <= 255 and array.dtype != np.uint16 else 65535.0


def _read_array(path: Path, clip: Clip, indices: list[int]) -> np.ndarray:
    key, row = clip.item
    arrays = _arrays(path)
    if key not in arrays:
        raise ClipError(f"there is no array {key!r} any more")
    rows = as_clips(arrays[key])
    if rows.shape[1:] != (clip.frames, clip.height, clip.width, clip.channels):
        raise ClipError(f"it has another shape, {arrays[key].shape}")
    return np.ascontiguousarray(rows[row or 0, indices])


_SCANS = {"video": _scan_video, "pictures": _scan_pictures, "array": _scan_array}
_READS = {"video": _read_video, "pictures": _read_pictures, "array": _read_array}
