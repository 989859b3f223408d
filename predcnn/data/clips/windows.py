"""Sliding windows over clips, decoded when they are asked for."""

import hashlib
import json
import pickle
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import get_worker_info

from predcnn.data.clips.decoding import READER, read_frames
from predcnn.data.clips.index import ClipIndex
from predcnn.data.clips.sources import Clip
from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.dividing import Segment
from predcnn.data.grey import with_grey
from predcnn.data.shaping import in_range, shaped_frames
from predcnn.data.windows import WindowDataset


class PackedClips:
    """Clips in two tensors, which loader workers share: they would copy objects by using them."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        packed = [pickle.dumps(clip) for clip in clips]
        self._ends = torch.tensor([0, *map(len, packed)]).cumsum(0)
        self._bytes = torch.from_numpy(np.frombuffer(b"".join(packed), np.uint8).copy())

    def __getitem__(self, number: int) -> Clip:
        first, last = int(self._ends[number]), int(self._ends[number + 1])
        return pickle.loads(self._bytes[first:last].numpy())


class WindowSequences(WindowDataset):
    """One split of a folder of clips, (B, T, C, H, W), uint8 or float32 in [0, 1]."""

    def __init__(
        self,
        options: VideoFolderOptions,
        split: str,
        segments: Sequence[Segment],
        index: ClipIndex,
        *,
        source: str,
        protocol: str,
    ) -> None:
        size = (options.channels, options.height, options.width)
        clips = [segment.recording for segment in segments]
        breaks = [clip.cuts + clip.gaps for clip in clips] if options.cuts == "skip" else None
        super().__init__(
            options, split, segments, size, source=source, protocol=protocol, breaks=breaks
        )
        self._clips, self._folder = PackedClips(clips), index.folder
        self._in_bytes = all(clip.in_bytes for clip in clips)
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self.fingerprint = self._fingerprint(segments, index)

    def __getstate__(self) -> dict[str, object]:
        # a worker decodes its own, and needs the packed clips only
        return {**self.__dict__, "_cache": OrderedDict(), "_recordings": []}

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
        shaped = shaped_frames(frames, options.channels, size, options.fit)
        return list(with_grey(shaped) if options.computes_grey else shaped)

    def _keep(self, clip: int, new: dict[int, np.ndarray], times: Sequence[int]) -> None:
        """Cache decoded frames and drop the least recently used ones."""
        cache = self._cache
        cache.update({(clip, t): frame for t, frame in new.items()})
        for t in times:
            cache.move_to_end((clip, t))
        size = next(iter(cache.values())).nbytes
        worker = get_worker_info()
        limit = (self._options.cache_mb << 20) // (worker.num_workers if worker else 1)
        while cache and len(cache) * size > limit:
            cache.popitem(last=False)

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
        if options.range is not None:
            facts["range"] = list(options.range)
        if options.targets is not None:
            facts["targets"] = list(options.targets)
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
