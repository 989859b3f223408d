"""Cuts between scenes, found from small grey copies of the frames."""

from collections.abc import Callable, Sequence

import numpy as np

from predcnn.data.clips.sources import ClipError
from predcnn.data.opencv import opencv

THUMBNAIL = 32  # pixels: two frames are compared at this size
CUT_LEAST = 0.12  # least mean difference of grey in [0, 1] at a cut
CUT_RATIO = 2.5  # times the median difference around it: fast motion is not a cut
CUT_AROUND = 3  # differences to either side in that median


class Survey:
    """Size, type and scenes of a clip, collected while its frames are decoded."""

    def __init__(self, keep: Callable[[np.ndarray], object] | None = None) -> None:
        self._keep = keep
        self._thumbnails: list[np.ndarray] = []
        self._shapes: set[tuple[int, ...]] = set()
        self._types: set[np.dtype] = set()

    def add(self, frame: np.ndarray) -> None:
        """Add the next frame (H, W, C); ClipError if it has another size."""
        self._thumbnails.append(thumbnail(frame))
        self._shapes.add(frame.shape)
        self._types.add(frame.dtype)
        sizes = sorted(f"{shape[1]}x{shape[0]}" for shape in self._shapes)
        if len(sizes) > 1:
            raise ClipError(f"has frames of different sizes: {', '.join(sizes)}")
        if self._keep is not None:
            self._keep(frame)

    @property
    def dtype(self) -> np.dtype:
        if len(self._types) > 1:
            kinds = sorted(str(kind) for kind in self._types)
            raise ClipError(f"mixes images of {' and '.join(kinds)}")
        return next(iter(self._types))

    def clip_facts(self, white: float) -> dict[str, object]:
        """Return the fields of a `Clip` that follow from its frames."""
        height, width, channels = next(iter(self._shapes))
        return {
            "frames": len(self._thumbnails),
            "height": height,
            "width": width,
            "channels": channels,
            "white": white,
            "dtype": str(self.dtype),
            "cuts": cuts(self._thumbnails, white),
        }


def cuts(thumbnails: Sequence[np.ndarray], white: float) -> tuple[int, ...]:
    """Return the indices of frames that begin a new scene: a sudden, large change."""
    if len(thumbnails) < 2:
        return ()
    small = np.stack(thumbnails).astype(np.float32) / white
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    found = []
    for i in np.flatnonzero(change > CUT_LEAST):
        around = np.concatenate([change[max(0, i - CUT_AROUND) : i], change[i + 1 :][:CUT_AROUND]])
        if not around.size or change[i] > CUT_RATIO * np.median(around):
            found.append(int(i) + 1)
    return tuple(found)


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """Shrink a frame: (H, W, C) -> (32, 32), mean over channels."""
    cv2 = opencv()
    grey = frame.mean(axis=2, dtype=np.float32) if frame.shape[2] != 3 else frame
    size = (THUMBNAIL, THUMBNAIL)
    small = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_AREA)
    return small if small.ndim == 2 else small.mean(axis=2, dtype=np.float32)
