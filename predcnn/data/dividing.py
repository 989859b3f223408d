"""Division of recordings into training, validation and test frames."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Protocol

from predcnn.checks import one_of, whole_number
from predcnn.data.draws import permutation, stream_key
from predcnn.data.options import SHARE, check_options, number
from predcnn.data.splits import SPLITS

_RANGE = re.compile(r"(\d+)-(\d+)")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_TRAILING = re.compile(r"\d+$")
SEPARATORS = " _.-"


@dataclass(frozen=True)
class WindowOptions:
    """Options of windows over recordings; the files ``configs/data/*.yaml`` explain each."""

    COUNTS: ClassVar[str] = (
        "frames_in frames_out frame_step train_sequences val_sequences test_sequences"
    )
    FLAGS: ClassVar[str] = ""

    root: str | Path
    split: Mapping[str, str | Sequence[str] | None] | None = None
    protocol: str = ""
    val_share: float = 0.1
    test_share: float = 0.1
    frames_in: int = 10
    frames_out: int = 10
    frame_step: int = 1
    stride: int | Mapping[str, int | None] | None = 1
    train_sequences: int | None = None
    val_sequences: int | None = None
    test_sequences: int | None = None
    seed: int = 0
    eval_seed: int = 0
    label: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        check_options(self, self.COUNTS, self.FLAGS)
        for name in ("val_share", "test_share"):
            number(name, getattr(self, name), *SHARE)
        if self.val_share + self.test_share >= 1:
            raise ValueError("data.val_share and data.test_share leave nothing to train on")
        for name in self.split or {}:
            one_of("split in data.split", name, SPLITS)
        if self.split is not None and not {"train", "test"} <= set(self.split):
            raise ValueError("data.split needs train and test; val is taken from train if missing")
        strides = self.stride.values() if isinstance(self.stride, Mapping) else [self.stride]
        for stride in strides:
            if stride is not None:
                whole_number("data.stride", stride)
        for name in ("variables", "targets"):  # one name is a list of one
            if isinstance(getattr(self, name, None), str):
                object.__setattr__(self, name, (getattr(self, name),))

    @property
    def span(self) -> int:
        """Frames of a recording that one window reaches over."""
        return (self.frames_in + self.frames_out - 1) * self.frame_step + 1


class Recording(Protocol):
    """Frames that follow each other in time: an array or a clip."""

    name: str
    frames: int
    number: int | None  # in the name
    label: str
    times: Sequence[int]  # numbers of the frames; (): 0, 1, 2 …


@dataclass(frozen=True)
class Segment:
    """The frames start <= t < stop of a recording."""

    recording: Recording
    start: int
    stop: int


Splits = dict[str, list[Segment]]


def complete(recordings: Iterable[Recording]) -> list[Segment]:
    """Return every recording as one segment."""
    return [Segment(recording, 0, recording.frames) for recording in recordings]


def by_folders(recordings: Sequence[Recording]) -> Splits:
    """Return the recordings in the folders train, val and test, by the beginning of their names."""
    places = [recording.name.partition("/")[0] for recording in recordings]
    pairs = list(zip(places, recordings, strict=True))
    return {name: complete(r for place, r in pairs if place == name) for name in SPLITS}


def by_names(recordings: Sequence[Recording], options: WindowOptions) -> Splits:
    """Divide as ``data.split`` says: patterns, ranges of numbers, arrays, lists in .txt files."""
    entries = {name: as_list(options.split.get(name)) for name in SPLITS}
    parts: Splits = {name: [] for name in SPLITS}
    for name, patterns in entries.items():
        for entry in (p for p in patterns if p.endswith(".txt")):
            parts[name] += _listed(options.root / entry, recordings)
    for recording in recordings:
        matching = [
            name for name in SPLITS if any(_matches(recording, entry) for entry in entries[name])
        ]
        if len(matching) > 1:
            raise ValueError(f"data.split: {recording.name} is in {' and in '.join(matching)}")
        for name in matching:
            parts[name] += complete([recording])
    for name in ("train", "test"):
        if not parts[name]:
            examples = ", ".join(r.name for r in recordings[:3])
            raise ValueError(
                f"data.split.{name}={options.split[name]} matches none of the "
                f"{len(recordings)} sequences, e.g. {examples}"
            )
    return with_validation(parts, options)


def _listed(path: Path, recordings: Sequence[Recording]) -> list[Segment]:
    """Read lines "name" or "name,first,last", the last two numbers of frames, both included."""
    known, found = {recording.name: recording for recording in recordings}, []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *bounds = line.strip().split(",")
        if not name:
            continue
        recording = known.get(name) or known.get(name.rstrip(SEPARATORS))
        if recording is None:
            raise ValueError(f"{path} lists {name}, which is not among the usable sequences")
        times = recording.times or range(recording.frames)
        first, last = map(int, bounds) if bounds else (times[0], times[-1])
        found.append(Segment(recording, bisect_left(times, first), bisect_right(times, last)))
    return found


def _matches(recording: Recording, pattern: str) -> bool:
    if recording.label:
        return recording.label == pattern
    bounds = _RANGE.fullmatch(pattern)
    if bounds or pattern.isdigit():
        low, high = bounds.groups() if bounds else (pattern, pattern)
        return recording.number is not None and int(low) <= recording.number <= int(high)
    return fnmatch(recording.name, pattern) or fnmatch(recording.name.rpartition("/")[2], pattern)


def with_validation(parts: Splits, options: WindowOptions) -> Splits:
    """Return ``parts``; without validation a share of the training part becomes it."""
    train = parts["train"]
    if parts.get("val"):
        return parts
    if len(train) > 1:
        order = permutation(stream_key(options.eval_seed, "validation"), len(train)).tolist()
        chosen = set(order[: min(max(1, int(options.val_share * len(train))), len(train) - 1)])
        held = [train[i] for i in sorted(chosen)]
        train = [segment for i, segment in enumerate(train) if i not in chosen]
    else:
        (only,) = train
        cut = only.stop - max(options.span, round(options.val_share * (only.stop - only.start)))
        held = [Segment(only.recording, cut, only.stop)]
        train = [Segment(only.recording, only.start, cut)]
    return {**parts, "train": train, "val": held}


def by_time(recordings: Sequence[Recording], options: WindowOptions) -> Splits:
    """Divide every recording into beginning, middle and end; no frame is in two splits."""
    found: Splits = {name: [] for name in SPLITS}
    for recording in recordings:
        total, span = recording.frames, options.span
        test = max(span, round(options.test_share * total))
        val = max(span, round(options.val_share * total))
        if total - test - val < span:
            val = test = span
        if total < 3 * span:
            continue  # too short to be divided; reported if nothing is left
        ends = [0, total - test - val, total - test, total]
        for split, (start, stop) in zip(SPLITS, pairwise(ends), strict=True):
            found[split].append(Segment(recording, start, stop))
    if not found["train"]:
        raise ValueError(
            f"no sequence under {options.root} has {3 * options.span} frames, three windows of "
            f"{options.span}: lower data.frames_in, data.frames_out or data.frame_step"
        )
    return found


def window_starts(
    segment: Segment, options: WindowOptions, breaks: Iterable[int] = ()
) -> list[int]:
    """Return where windows begin: every ``stride`` frames, so that none reaches over a break."""
    stride = options.stride
    if isinstance(stride, Mapping):
        name = segment.recording.name
        fitting = [step for pattern, step in stride.items() if fnmatch(name, pattern)]
        if not fitting:
            raise ValueError(f"data.stride has no pattern for {name}; '*' is for all others")
        stride = fitting[0]
    inner = [at for at in sorted(set(breaks)) if segment.start < at < segment.stop]
    pieces = pairwise([segment.start, *inner, segment.stop])
    step = stride or options.span
    return [at for first, last in pieces for at in range(first, last - options.span + 1, step)]


def as_list(value: object) -> list[str]:
    """Return the patterns of one entry of ``data.split``."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def number_in(stem: str, years_only: bool = False) -> int | None:
    """Return the year in a name, else its last number, else None."""
    years = _YEAR.findall(stem)
    numbers = [] if years_only else re.findall(r"\d+", stem)
    return int(years[0]) if years else int(numbers[-1]) if numbers else None


def stem_and_number(name: str) -> tuple[str, int | None]:
    """Split "seq0_012" into ("seq0_", 12): the stem of the sequence, and the frame number."""
    digits = _TRAILING.search(name)
    return (name[: digits.start()], int(digits[0])) if digits else (name, None)
