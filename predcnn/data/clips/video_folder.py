"""Your own clips as a data set: three splits of sliding windows, by clip or by time."""

import hashlib
import json
import logging
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch.utils.data import get_worker_info

from predcnn.data.clips.array_files import NEEDS_SCALE
from predcnn.data.clips.decoding import READER, read_frames
from predcnn.data.clips.index import ClipIndex, index_clips
from predcnn.data.clips.sources import DEEP, Clip, ClipError
from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.dividing import Segment, Splits, by_folders, by_names, by_time, complete
from predcnn.data.draws import permutation, stream_key
from predcnn.data.grey import with_grey
from predcnn.data.scale import Units
from predcnn.data.sequences import SETS
from predcnn.data.shaping import check_channels, check_cut, in_range, shaped_frames
from predcnn.data.sources.known_files import FileReport
from predcnn.data.splits import SPLITS, SequenceFamily
from predcnn.data.windows import WindowDataset

log = logging.getLogger(__name__)


@SETS.register("video_folder")
class VideoFolder(SequenceFamily):
    """Windows (B, T, C, H, W) of clips, uint8 where every clip is stored in bytes, else float32."""

    Options: ClassVar[type] = VideoFolderOptions
    name: ClassVar[str] = "video_folder"
    reader: ClassVar[str] = READER

    @cached_property
    def _found(self) -> tuple[ClipIndex, dict[str, str]]:
        """The index, and clips that are left out with the reason."""
        # scene changes and damage show in decoded frames only
        complete = self.options.strict or self.options.cuts == "skip"
        with self.naming_origin():
            index = index_clips(self.options.root, complete=complete)
        problems = dict(index.problems)
        foreign = {name: text for name, text in problems.items() if text.endswith(NEEDS_SCALE)}
        if foreign:  # without them the others would be on a scale that is not the set's
            raise ValueError(f"under {self.options.root}: {_listed(foreign, shown=1)}")
        if self.options.range is not None and all(clip.white != DEEP for clip in index.clips):
            raise ValueError(
                f"data.range={self.options.range} is for 16-bit images, and none lies under "
                f"{self.options.root}; numbers of other ranges need data=array"
            )
        clips = tuple(clip.with_range(self.options.range) for clip in index.clips)
        index = replace(index, clips=clips)
        for clip in clips:
            try:
                self._check(clip)
            except ClipError as error:
                problems[clip.name] = str(error)
        if problems and self.options.strict:
            raise ValueError(
                f"data.strict=true and {len(problems)} clips under {self.options.root} cannot be "
                f"used: {_listed(problems)}"
            )
        if problems:
            log.warning("left out: %s", _listed(problems))
        ranges = {f"0..{clip.white:g}": f"as {clip.name}" for clip in clips}
        if len(ranges) > 1:
            raise ValueError(
                f"clips of several ranges under {self.options.root}: {_listed(ranges)}; a data set "
                "has one: convert them to one type"
            )
        return index, problems

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """The usable clips, by path."""
        index, problems = self._found
        usable = tuple(clip for clip in index.clips if clip.name not in problems)
        if not usable:
            raise ValueError(f"no usable clip under {self.options.root}: {_listed(problems)}")
        return usable

    @property
    def facts(self) -> dict[str, str]:
        _, problems = self._found
        rounded = sum(clip.rounded for clip in self.clips)
        rounding = f", {rounded:,} values rounded into it" if rounded else ""
        left_out = f"; left out: {_listed(problems, shown=2)}" if problems else ""
        return {
            "clips": f"{len(self.clips):,}, {sum(c.frames for c in self.clips):,} frames{left_out}",
            "range": f"0..{self.clips[0].white:g}{rounding}",
            **({} if self.units is None else {"targets": ", ".join(self.units.names)}),
        }

    @property
    def units(self) -> Units | None:
        """The channels that are predicted and measured; None: all."""
        return self.options.units

    def prepare(self) -> list[FileReport]:
        index, problems = self._found
        reports, clips_of = [], defaultdict(list)
        for clip in index.clips:
            clips_of[clip.source].append(clip)
        for name, sha256 in index.sha256.items():
            # the rows of an array are often alike
            found = list(dict.fromkeys(_described(clip, problems) for clip in clips_of[name]))
            text = _shortened(found or [f"left out: {problems[name]}"], 3)
            path, size = index.folder / name, index.sizes[name]
            reports.append(FileReport(path, "present", text, sha256, size))
        return reports

    def split(self, name: str) -> "WindowSequences":
        return WindowSequences(self, name, self._segments()[name], self._found[0])

    def _check(self, clip: Clip) -> None:
        options = self.options
        check_channels(clip.channels, options.channels)
        check_cut((clip.height, clip.width), (options.height, options.width), options.fit)
        thrice = self.protocol == "by_time"
        needed = options.span * (len(SPLITS) if thrice else 1)
        if clip.frames < needed:
            why = f" in each of {len(SPLITS)} splits" if thrice else ""
            raise ClipError(f"has {clip.frames} frames, a window needs {options.span}{why}")

    @property
    def protocol(self) -> str:
        return self.options.protocol if self.options.split is None else "data.split"

    def _segments(self) -> Splits:
        if self.options.split is not None:
            return by_names(self.clips, self.options)
        if self.options.protocol == "by_time":
            return by_time(self.clips, self.options)
        parts = by_folders(self.clips)
        return parts if all(parts.values()) else self._by_clip()

    def _by_clip(self) -> Splits:
        options, clips = self.options, self.clips
        if len(clips) < len(SPLITS):
            raise ValueError(
                f"data.protocol=by_clip needs three usable clips, one for each split, "
                f"{options.root} has {len(clips)}; data.protocol=by_time divides each clip by time"
            )
        order = permutation(stream_key(options.eval_seed, "clips"), len(clips)).tolist()
        test = min(max(1, int(options.test_share * len(clips))), len(clips) - 2)
        val = min(max(1, int(options.val_share * len(clips))), len(clips) - 1 - test)
        parts = (order[test + val :], order[test : test + val], order[:test])
        return {
            split: complete(clips[i] for i in sorted(part))
            for split, part in zip(SPLITS, parts, strict=True)
        }


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
        self, family: VideoFolder, split: str, segments: Sequence[Segment], index: ClipIndex
    ) -> None:
        options, clips = family.options, [segment.recording for segment in segments]
        size = (options.channels, options.height, options.width)
        breaks = [clip.cuts + clip.gaps for clip in clips] if options.cuts == "skip" else None
        super().__init__(family, split, segments, size, breaks)
        count = len({clip.name for clip in clips})
        self.source = f"{count} {'clip' if count == 1 else 'clips'} of {options.root}"
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


def _described(clip: Clip, problems: dict[str, str]) -> str:
    if clip.name in problems:
        return f"left out: {problems[clip.name]}"
    scenes = f", {len(clip.cuts) + 1} scenes" if clip.cuts else ""
    shape = f"{clip.frames} frames {clip.width}x{clip.height}x{clip.channels}"
    rounding = f", {clip.rounded:,} values rounded into it" if clip.rounded else ""
    return f"{shape}, values 0..{clip.white:g}{rounding}{scenes}"


def _listed(problems: dict[str, str], shown: int = 5) -> str:
    return _shortened([f"{name} {reason}" for name, reason in problems.items()], shown)


def _shortened(parts: list[str], shown: int) -> str:
    more = [f"and {len(parts) - shown} more"] if len(parts) > shown else []
    return "; ".join([*parts[:shown], *more])
