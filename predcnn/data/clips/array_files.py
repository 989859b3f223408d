"""Clips of arrays of frames in .npy, .npz and TIFF files, and of folders of images."""

import functools
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from predcnn.data.clips.scenes import Survey
from predcnn.data.clips.sources import DEEP, TIFFS, Clip, ClipError, Source, image_files
from predcnn.data.dividing import stem_and_number
from predcnn.data.frames import ROUNDING
from predcnn.data.opencv import opencv
from predcnn.data.sources.known_files import load_arrays

NEEDS_SCALE = (
    "clips are uint8, bool or floats in 0..1; others need data=array with data.range=[low,high] or "
    "data.normalize=minmax"
)
"""End of the reason why numbers of another range are not a clip."""


def scan_array(path: Path, name: str) -> list[Clip]:
    """Describe every clip in the arrays of a file."""
    clips = []
    for key, array in _arrays(path).items():
        rows = as_clips(array)
        if 0 in rows.shape:
            raise ClipError(f"holds no frames: shape {array.shape}")
        white, single = value_range(array, deep=path.suffix.lower() in TIFFS), array.ndim < 5
        label = f"{name}:{key}" if key else name
        for i, frames in enumerate(rows):
            survey = Survey()
            for frame in frames:
                survey.add(frame)
            own = label if single else f"{label}[{i}]"
            item = (key, None if single else i)
            facts = {**survey.clip_facts(white), "rounded": rounded_values(frames)}
            clips.append(Clip(own, name, "array", **facts, item=item))
    return clips


def read_array(path: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Frames at ``indices`` as they are stored, (n, H, W, C)."""
    key, row = clip.item
    arrays = _arrays(path)
    if key not in arrays:
        raise ClipError(f"there is no array {key!r} any more")
    rows = as_clips(arrays[key])
    if rows.shape[1:] != (clip.frames, clip.height, clip.width, clip.channels):
        raise ClipError(f"it has another shape, {arrays[key].shape}")
    return np.ascontiguousarray(rows[row or 0, indices])


def as_clips(array: np.ndarray) -> np.ndarray:
    """Arrange an array of frames as (N, T, H, W, C), a view.

    Accepted: (N, T, C, H, W), (N, T, H, W, C), (T, H, W, C), (T, C, H, W), (T, H, W); the axis of
    channels has 1 or 3 entries, except in (N, T, C, H, W).
    """
    if array.dtype.kind not in "buif":
        raise ClipError(f"holds {array.dtype}, not numbers")
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
            f"has shape {array.shape}: no axis of 1 or 3 channels; store others as (N, T, C, H, W)"
        )
    return np.moveaxis(rows, 2, 4) if channels_first and not (last and array.ndim == 4) else rows


def value_range(array: np.ndarray, *, deep: bool = False) -> float:
    """Return the value that means 1: 255 for uint8, 1 for bool and for floats in [0, 1].

    The type decides, never the largest value of a file: all files of a set have one scale. Image
    files (``deep``) of 16 bits mean 0..65535; other numbers raise ClipError.
    """
    if array.dtype == np.uint8:
        return 255.0
    if array.dtype == np.uint16 and deep:
        return DEEP
    if array.dtype.kind == "b":
        return 1.0
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ClipError("holds NaN or Inf: data=array takes missing values")
    if array.dtype.kind == "f" and low >= -ROUNDING and high <= 1 + ROUNDING:
        return 1.0
    raise ClipError(f"has {array.dtype} values from {low:.4g} to {high:.4g}: {NEEDS_SCALE}")


def rounded_values(array: np.ndarray) -> int:
    """Return how many floats lie outside [0, 1]."""
    if array.dtype.kind != "f":
        return 0
    return sum(int(np.count_nonzero((part < 0) | (part > 1))) for part in array)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, "" for that of an .npy."""
    return _loaded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)  # an .npz or TIFF is decoded completely: not again for every batch
def _loaded(path: Path, _changed: int) -> dict[str, np.ndarray]:
    """Read an .npz or a TIFF stack; map an .npy."""
    if path.suffix.lower() in TIFFS:
        cv2 = opencv()
        done, pages = cv2.imdecodemulti(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if not done or len({page.shape for page in pages}) > 1:
            raise ClipError("cannot be decoded, or its pages have different sizes")
        stack = np.stack(pages)
        return {"": stack if stack.ndim == 3 else stack[..., 2::-1]}  # RGB
    try:
        content = load_arrays(path)
    except ValueError as error:
        raise ClipError(f"is damaged, truncated or not an array of numbers: {error}") from error
    return content if isinstance(content, dict) else {"": content}


def scan_folder(source: Source, name: str, survey: Survey) -> list[Clip]:
    """Decode every image of a folder, or of one stem in it, and describe them as a clip."""
    files, ranges, rounded = source.files(), [], 0
    for file in files:
        frame = _image(file)
        survey.add(frame)
        if frame.dtype.kind == "f":
            ranges += [frame.min(), frame.max()]
            rounded += rounded_values(frame)
    numbers = [stem_and_number(file.stem)[1] for file in files]
    rising = None not in numbers and all(a < b for a, b in pairwise(numbers))
    white = value_range(np.array(ranges or 0, survey.dtype), deep=True)
    times = tuple(numbers) if rising else ()
    item = None if source.stem is None else (source.stem, None)
    facts = {**survey.clip_facts(white), "times": times, "item": item, "rounded": rounded}
    return [Clip(name, name, "images", **facts)]


def read_folder(path: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Frames at ``indices``, as `_image` reads them, (n, H, W, C)."""
    files = image_files(path.parent, clip.item[0]) if clip.item else image_files(path)
    if len(files) != clip.frames:
        raise ClipError(f"there are {len(files)} images, there were {clip.frames}")
    return np.stack([_image(files[index]) for index in indices])


def _image(file: Path) -> np.ndarray:
    """Read (H, W, 3) RGB, uint8 or uint16; floats, which only TIFF holds, with 1 or 3 channels."""
    cv2 = opencv()
    data = np.fromfile(file, np.uint8)  # cv2.imread knows no paths beyond ASCII on some systems
    frame = None
    if data.size and file.suffix.lower() in TIFFS:  # the flags below refuse floats
        frame = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if frame is not None and frame.dtype.kind == "f" and frame.ndim == 2:
            return frame[..., None]
    if data.size and (frame is None or frame.dtype.kind != "f"):
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if frame is None:
        raise ClipError(f"{file.name} is not an image that OpenCV can decode")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
