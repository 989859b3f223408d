"""Folders of images, one image a frame."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from predcnn.data.clips.array_files import rounded_values, value_range
from predcnn.data.clips.scenes import Survey
from predcnn.data.clips.sources import TIFFS, Clip, ClipError, Source, image_files
from predcnn.data.dividing import stem_and_number
from predcnn.data.opencv import opencv


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
