"""Sliding windows over clips, decoded when they are asked for."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from predcnn.data.clips.decoding import READER, read_frames
from predcnn.data.clips.index import ClipIndex
from predcnn.data.dividing import Segment, window_starts
from predcnn.data.sequences import SequenceDataset, windows_in_rounds
from predcnn.data.shaping import in_range, shaped_frames

if TYPE_CHECKING:
    from predcnn.data.clips.video_options import VideoFolderOptions


class WindowSequences(SequenceDataset):
    """One split of a folder of clips, (B, T, C, H, W), uint8 or float32 in [0, 1].

    Training draws all windows in a new order in every round, however many make an epoch;
    validation and test always have the same windows.
    """

    def __init__(
        self,
        options: "VideoFolderOptions",
        split: str,
        segments: Sequence[Segment],
        index: ClipIndex,
        *,
        source: str,
        protocol: str,
    ) -> None:
        self._options, self._split, self._folder = options, split, index.folder
        self._clips = [segment.recording for segment in segments]
        self.in_shape = (options.frames_in, options.channels, options.height, options.width)
        self.frames_out, self.protocol, self.source = options.frames_out, protocol, source
        self.finite = split != "train"
        self._in_bytes = all(clip.in_bytes for clip in self._clips)
        skip = options.cuts == "skip"
        starts = [
            window_starts(s, options, s.recording.cuts + s.recording.gaps if skip else ())
            for s in segments
        ]
        found = [(i, at) for i, places in enumerate(starts) for at in places]
        self._windows = np.array(found, np.int64).reshape(-1, 2)
        if not len(self._windows):
            clips = "1 clip" if len(segments) == 1 else f"{len(segments)} clips"
            skipped = ", cuts skipped" if skip else ""
            raise ValueError(
                f"the {split} split has no window of {options.span} frames: {clips}{skipped}; add "
                "clips, raise its share, or lower data.frames_in, data.frames_out or "
                "data.frame_step"
            )
        self._length = self._count(len(self._windows))
        if self.finite:
            spread = np.linspace(0, len(self._windows) - 1, self._length).round().astype(np.int64)
            self._windows = self._windows[spread]
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self.fingerprint = self._fingerprint(segments, index)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cache": OrderedDict()}  # a worker decodes its own

    def __len__(self) -> int:
        return self._length

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """See :meth:`SequenceDataset.batch`."""
        indices = self._checked(indices)
        windows = indices
        if not self.finite:
            seed, count = self._options.seed, len(self._windows)
            windows = windows_in_rounds(seed, epoch, indices, self._length, count)
        frames = np.stack([self._window(*self._windows[w]) for w in windows])
        return torch.from_numpy(np.ascontiguousarray(frames))

    def _window(self, clip: int, start: int) -> np.ndarray:
        options = self._options
        times = range(start, start + options.span, options.frame_step)
        missing = [t for t in times if (clip, t) not in self._cache]
        new = dict(zip(missing, self._decoded(clip, missing), strict=True)) if missing else {}
        frames = [new[t] if t in new else self._cache[clip, t] for t in times]
        self._keep(clip, new, times)
        return np.stack(frames)

    def _decoded(self, clip: int, times: list[int]) -> list[np.ndarray]:
        options, found = self._options, self._clips[clip]
        stored = read_frames(self._folder, found, times)
        frames = in_range(stored, found.white, self._in_bytes)
        size = (options.height, options.width)
        return list(shaped_frames(frames, options.channels, size, options.fit))

    def _keep(self, clip: int, new: dict[int, np.ndarray], times: Sequence[int]) -> None:
        """Cache decoded frames and drop the least recently used ones."""
        cache = self._cache
        cache.update({(clip, t): frame for t, frame in new.items()})
        for t in times:
            cache.move_to_end((clip, t))
        size = next(iter(cache.values())).nbytes
        while cache and len(cache) * size > self._options.cache_mb << 20:
            cache.popitem(last=False)

    def _count(self, windows: int) -> int:
        wanted = getattr(self._options, f"{self._split}_sequences")
        if wanted is None:
            return windows
        return min(wanted, windows) if self.finite else wanted

    def _fingerprint(self, segments: Sequence[Segment], index: ClipIndex) -> str:
        options = self._options
        facts = {
            "seed": None if self.finite else options.seed,
            "length": self._length,
            "frames": (options.frames_in, options.frames_out, options.frame_step, options.stride),
            "shape": (options.channels, options.height, options.width, options.fit, options.cuts),
            "reader": READER,
            "clips": [
                (s.recording.name, index.sizes[file], index.sha256[file], s.start, s.stop)
                for s in segments
                for file in [s.recording.source]
            ],
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
