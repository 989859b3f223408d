"""Conversion of stored frames to one size, number of channels and range."""

import numpy as np

from predcnn.data.clips.sources import ClipError
from predcnn.data.opencv import opencv

FITS = ("crop", "stretch", "cut")
"""crop: scale until the target is covered, crop the centre; stretch: scale each axis separately;
cut: crop the centre without scaling."""


def shaped_frames(
    frames: np.ndarray, channels: int, size: tuple[int, int] | None = None, fit: str = "crop"
) -> np.ndarray:
    """Convert (T, H, W, C), uint8 or float32 in [0, 1], to (T, channels, *size) of the same type.

    Colours become grey by ITU-R BT.601 as in OpenCV, grey becomes three equal channels; other
    numbers of channels stay the same. Without ``size`` frames are not resized.
    """
    size = size or frames.shape[1:3]
    shaped = [_resized(_recoloured(frame, channels), size, fit) for frame in frames]
    return np.stack(shaped).transpose(0, 3, 1, 2)


def in_range(frames: np.ndarray, white: float, as_bytes: bool) -> np.ndarray:
    """Convert stored numbers to uint8 (integers up to 255 only) or to float32 in [0, 1]."""
    if as_bytes:
        return frames.astype(np.uint8, copy=False)
    if frames.dtype == np.uint16 and frames.max(initial=0) > white:
        raise ClipError(f"has the value {frames.max()} above data.range=[0,{white:g}]")
    # floats may leave [0, 1] by rounding
    return (frames.astype(np.float32) / np.float32(white)).clip(0, 1)


def check_channels(given: int, wanted: int) -> None:
    """Raise ClipError unless frames of ``given`` channels convert to ``wanted`` channels."""
    if given != wanted and {given, wanted} != {1, 3}:
        raise ClipError(f"has {given} channels, {wanted} are wanted")


def check_cut(given: tuple[int, int], wanted: tuple[int, int], fit: str) -> None:
    """Raise ClipError if frames of size ``given`` are too small to cut ``wanted``."""
    if fit == "cut" and (given[0] < wanted[0] or given[1] < wanted[1]):
        raise ClipError(
            f"has {given[1]}x{given[0]} pixels, too few to cut {wanted[1]}x{wanted[0]}; use "
            "data.fit=crop"
        )


def _recoloured(frame: np.ndarray, channels: int) -> np.ndarray:
    check_channels(frame.shape[2], channels)
    if frame.shape[2] == channels:
        return frame
    if channels == 3:
        return frame.repeat(3, axis=2)
    cv2 = opencv()
    return cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)[..., None]


def _resized(frame: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    height, width = frame.shape[:2]
    if (height, width) == size:
        return frame
    check_cut((height, width), size, fit)
    if fit == "stretch":
        return _scaled(frame, size)
    if fit == "crop":
        factor = max(size[0] / height, size[1] / width)
        height, width = max(size[0], round(height * factor)), max(size[1], round(width * factor))
        frame = _scaled(frame, (height, width))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return frame[top : top + size[0], left : left + size[1]]


def _scaled(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average when shrinking, interpolate linearly when growing; (H, W, C) -> (*size, C)."""
    cv2 = opencv()
    shrinks = size[0] * size[1] < frame.shape[0] * frame.shape[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    # OpenCV resizes at most 4 channels at once
    parts = [frame] if frame.shape[2] <= 4 else np.split(frame, frame.shape[2], axis=2)
    scaled = [cv2.resize(np.ascontiguousarray(p), size[::-1], interpolation=kind) for p in parts]
    return np.concatenate([p if p.ndim == 3 else p[..., None] for p in scaled], axis=2)
