"""Where one scene ends and the next begins, from small grey copies of the frames."""

from collections.abc import Sequence

import numpy as np

from predcnn.data.opencv import opencv

THUMBNAIL = 32  # pixels: two frames are compared at this size
CUT_LEAST = 0.12  # mean difference of grey in [0, 1] from which two frames may be two scenes
CUT_RATIO = 2.5  # times the usual difference around it: fast motion is no cut
CUT_AROUND = 3  # differences to either side that say what is usual


def cuts(thumbnails: Sequence[np.ndarray], white: float) -> tuple[int, ...]:
    """Indices of frames that begin a new scene: unlike their predecessor, and suddenly so."""
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
    """(H, W, C) -> (32, 32), mean over channels."""
    cv2 = opencv()
    grey = frame.mean(axis=2, dtype=np.float32) if frame.shape[2] != 3 else frame
    size = (THUMBNAIL, THUMBNAIL)
    small = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_AREA)
    return small if small.ndim == 2 else small.mean(axis=2, dtype=np.float32)
