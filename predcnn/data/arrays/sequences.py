"""Windows over recordings of numbers, read and scaled when they are asked for."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.dividing import Segment, window_starts
from predcnn.data.scale import Scale
from predcnn.data.sequences import SequenceDataset, windows_in_rounds


class ArraySequences(SequenceDataset):
    """One split of arrays, float32 (B, T, C, H, W), scaled; missing values are NaN.

    Args:
        options: the task.
        split: "train", "val" or "test".
        segments: where windows may lie; no window crosses their ends.
        scale: of the values.
        size: (H, W).
        source: where the numbers come from, for tables.
        protocol: how the splits were made.
        identity: what identifies the files, for the fingerprint.

    Raises:
        ValueError: no window in this split.
    """

    def __init__(
        self,
        options: ArrayOptions,
        split: str,
        segments: Sequence[Segment],
        scale: Scale,
        size: tuple[int, int],
        *,
        source: str,
        protocol: str,
        identity: str,
    ) -> None:
        self._options, self._segments, self._scale = options, segments, scale
        self.in_shape = (options.frames_in, len(scale.channels), *size)
        self.frames_out, self.protocol, self.source = options.frames_out, protocol, source
        self.finite = split != "train"
        span = options.span
        found = [(i, at) for i, s in enumerate(segments) for at in window_starts(s, options)]
        self._windows = np.array(found, np.int64).reshape(-1, 2)
        if not len(self._windows):
            longest = max((s.stop - s.start for s in segments), default=0)
            raise ValueError(
                f"the {split} split has no window of {span} frames: {len(segments)} sequences, "
                f"the longest of {longest} frames; lower data.frames_in, data.frames_out or "
                "data.frame_step, or give this split a larger share"
            )
        wanted, count = getattr(options, f"{split}_sequences"), len(self._windows)
        self._length = count if wanted is None else min(wanted, count) if self.finite else wanted
        if self.finite:
            spread = np.linspace(0, count - 1, self._length).round().astype(np.int64)
            self._windows = self._windows[spread]
        facts = [
            identity, split, self._length, None if self.finite else options.seed,
            [options.frames_in, options.frames_out, options.frame_step, options.stride],
            [(s.recording.name, s.start, s.stop) for s in segments], scale.as_dict(), options.mask,
        ]  # fmt: skip
        self.fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """See :meth:`SequenceDataset.batch`."""
        indices = self._checked(indices)
        if not self.finite:
            indices = windows_in_rounds(
                self._options.seed, epoch, indices, self._length, len(self._windows)
            )
        return torch.from_numpy(np.stack([self._window(*self._windows[i]) for i in indices]))

    def _window(self, segment: int, start: int) -> np.ndarray:
        options = self._options
        recording = self._segments[segment].recording
        frames = recording.read(int(start), int(start) + options.span, options.frame_step)
        return np.ascontiguousarray(self._scale.apply(without_missing(frames, options.mask)))


def without_missing(frames: np.ndarray, mask: float | None) -> np.ndarray:
    """Return frames whose missing values, equal to ``mask`` or infinite, are NaN."""
    if frames.dtype.kind != "f":
        if mask is None:
            return frames
        frames = frames.astype(np.float32)
    missing = ~np.isfinite(frames)
    if mask is not None:
        missing |= frames == mask
    return np.where(missing, np.nan, frames) if missing.any() else frames
