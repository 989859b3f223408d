"""Windows of frames over recordings, read when they are asked for."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from predcnn.data.dividing import Segment, window_starts
from predcnn.data.sequences import SequenceDataset, windows_in_rounds
from predcnn.data.splits import SequenceFamily


class WindowDataset(SequenceDataset):
    """One split of recordings, (B, T, C, H, W).

    Training draws all windows in a new order in every round, however many make an epoch;
    validation and test always have the same windows, evenly spread over all of them.

    Args:
        family: the data set, with `predcnn.data.dividing.WindowOptions`.
        segments: where windows may lie.
        size: (C, H, W).
        breaks: for each segment the frames that no window reaches over.
    """

    def __init__(
        self,
        family: SequenceFamily,
        split: str,
        segments: Sequence[Segment],
        size: tuple[int, int, int],
        breaks: Sequence[Sequence[int]] | None = None,
    ) -> None:
        options, self.protocol = family.options, family.protocol
        self._options, self._recordings = options, [segment.recording for segment in segments]
        self.in_shape, self.frames_out = (options.frames_in, *size), options.frames_out
        self.finite = split != "train"
        breaks = breaks or [()] * len(segments)
        starts = [window_starts(s, options, b) for s, b in zip(segments, breaks, strict=True)]
        found = [(i, at) for i, places in enumerate(starts) for at in places]
        self._windows = np.array(found, np.int64).reshape(-1, 2)
        if not found:
            longest = max((s.stop - s.start for s in segments), default=0)
            raise ValueError(
                f"the {split} split has no window of {options.span} frames: {len(segments)} "
                f"sequences, the longest of {longest} frames; lower data.frames_in, "
                "data.frames_out or data.frame_step, or give this split a larger share"
            )
        wanted = getattr(options, f"{split}_sequences") or len(found)
        self._length = min(wanted, len(found)) if self.finite else wanted
        if self.finite:
            spread = np.linspace(0, len(found) - 1, self._length).round().astype(np.int64)
            self._windows = self._windows[spread]

    @abstractmethod
    def _window(self, number: int, start: int) -> np.ndarray:
        """Read the window (T, C, H, W) of a segment that begins at frame ``start``."""

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        indices = self._checked(indices)
        if not self.finite:
            seed, count = self._options.seed, len(self._windows)
            indices = windows_in_rounds(seed, epoch, indices, self._length, count)
        frames = np.stack([self._window(*self._windows[i].tolist()) for i in indices])
        return torch.from_numpy(np.ascontiguousarray(frames))
