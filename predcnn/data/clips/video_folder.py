"""Your own clips as a data set: three splits of sliding windows, by clip or by time."""

import logging
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from predcnn.data.clips.array_files import NEEDS_SCALE
from predcnn.data.clips.decoding import READER
from predcnn.data.clips.index import ClipIndex, index_clips
from predcnn.data.clips.sources import DEEP, Clip, ClipError
from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.clips.windows import WindowSequences
from predcnn.data.dividing import Splits, by_folders, by_names, by_time, complete
from predcnn.data.draws import permutation, stream_key
from predcnn.data.scale import Units
from predcnn.data.sequences import SETS
from predcnn.data.shaping import check_channels, check_cut
from predcnn.data.sources.known_files import FileReport
from predcnn.data.splits import SPLITS, SequenceFamily

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

    def split(self, name: str) -> WindowSequences:
        segments = self._segments()[name]
        index, _ = self._found
        names = {s.recording.name for s in segments}
        source = f"{len(names)} {'clip' if len(names) == 1 else 'clips'} of {self.options.root}"
        return WindowSequences(
            self.options, name, segments, index, source=source, protocol=self.protocol
        )

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
