"""Folders of images, one image a frame."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from predcnn.data.clips.scenes import Survey
from predcnn.data.clips.sources import Clip, ClipError, image_files
from predcnn.data.opencv import opencv


def scan_folder(path: Path, name: str, survey: Survey) -> list[Clip]:
    """Decode every image of a folder and describe it as a clip."""
    for file in image_files(path):
        survey.add(_image(file))
    if survey.dtype not in (np.uint8, np.uint16):
        raise ClipError(f"holds images of {survey.dtype}; accepted: 8 or 16 bits a channel")
    facts = survey.clip_facts(white=float(np.iinfo(survey.dtype).max))
    return [Clip(name, name, "images", **facts)]


def read_folder(path: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Frames at ``indices``, RGB uint8 or uint16 (n, H, W, 3)."""
    files = image_files(path)
    if len(files) != clip.frames:
        raise ClipError(f"there are {len(files)} images, there were {clip.frames}")
    return np.stack([_image(files[index]) for index in indices])


def _image(file: Path) -> np.ndarray:
    """(H, W, 3) RGB, uint8 or uint16."""
    cv2 = opencv()
    data = np.fromfile(file, np.uint8)  # cv2.imread knows no paths beyond ASCII on some systems
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    frame = cv2.imdecode(data, flags) if data.size else None
    if frame is None:
        raise ClipError(f"{file.name} is no image that OpenCV can decode")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
