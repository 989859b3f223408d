"""Which frames of which recordings are for training, validation and test."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.arrays.recordings import Recording, as_list
from predcnn.data.draws import permutation, stream_key
from predcnn.data.splits import SPLITS

_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Segment:
    """The frames start <= t < stop of a recording."""

    recording: Recording
    start: int
    stop: int


def divide(
    recordings: Sequence[Recording], options: ArrayOptions
) -> tuple[str, dict[str, list[Segment]]]:
    """Return the protocol that was used and the segments of every split.

    Raises:
        ValueError: a recording in two splits, or too few recordings.
    """
    folders = {recording.name.split("/")[0] for recording in recordings}
    if options.split is not None:
        return "data.split", _listed(recordings, options)
    if {"train", "test"} <= folders:
        parts = {name: [r for r in recordings if r.name.startswith(f"{name}/")] for name in SPLITS}
        return "folders train, val, test", _with_val(parts, options)
    by_sequence = options.protocol == "by_sequence"
    if by_sequence and len(recordings) < len(SPLITS):
        raise ValueError(
            f"data.protocol=by_sequence needs three sequences, {options.root} has "
            f"{len(recordings)}; data.protocol=by_time divides each of them"
        )
    if by_sequence or (options.protocol == "auto" and len(recordings) >= len(SPLITS)):
        order = permutation(stream_key(options.eval_seed, "arrays"), len(recordings)).tolist()
        count = max(1, int(options.test_share * len(recordings)))
        parts = {"test": sorted(order[:count]), "train": sorted(order[count:])}
        chosen = {name: [recordings[i] for i in indices] for name, indices in parts.items()}
        return "by_sequence", _with_val(chosen, options)
    return "by_time", _by_time(recordings, options)


def _listed(recordings: Sequence[Recording], options: ArrayOptions) -> dict[str, list[Segment]]:
    parts: dict[str, list[Recording]] = {name: [] for name in SPLITS}
    for recording in recordings:
        matching = [
            name
            for name in SPLITS
            if any(_matches(recording, p) for p in as_list(options.split.get(name)))
        ]
        if len(matching) > 1:
            raise ValueError(f"data.split: {recording.name} is in {' and in '.join(matching)}")
        if matching:
            parts[matching[0]].append(recording)
    for name in ("train", "test"):
        if not parts[name]:
            examples = ", ".join(r.name for r in recordings[:3])
            raise ValueError(
                f"data.split.{name}={options.split[name]} matches none of the "
                f"{len(recordings)} sequences, e.g. {examples}"
            )
    return _with_val(parts, options)


def _matches(recording: Recording, pattern: str) -> bool:
    if recording.label:
        return recording.label == pattern
    bounds = _RANGE.fullmatch(pattern)
    if bounds or pattern.isdigit():
        low, high = bounds.groups() if bounds else (pattern, pattern)
        return recording.number is not None and int(low) <= recording.number <= int(high)
    return fnmatch(recording.name, pattern) or fnmatch(recording.name.rpartition("/")[2], pattern)


def _with_val(parts: dict[str, list[Recording]], options: ArrayOptions) -> dict[str, list[Segment]]:
    """Whole recordings as segments; without validation a share of training is held out."""
    train = list(parts["train"])
    if parts.get("val"):
        held = [Segment(r, 0, r.frames) for r in parts["val"]]
    elif len(train) > 1:
        order = permutation(stream_key(options.eval_seed, "validation"), len(train)).tolist()
        count = min(max(1, int(options.val_share * len(train))), len(train) - 1)
        chosen = sorted(order[:count])
        held = [Segment(train[i], 0, train[i].frames) for i in chosen]
        train = [recording for i, recording in enumerate(train) if i not in set(chosen)]
    else:
        (only,) = train
        cut = only.frames - max(options.span, round(options.val_share * only.frames))
        held = [Segment(only, cut, only.frames)]
        test = [Segment(r, 0, r.frames) for r in parts["test"]]
        return {"train": [Segment(only, 0, cut)], "val": held, "test": test}
    whole = {name: [Segment(r, 0, r.frames) for r in found]
             for name, found in (("train", train), ("test", parts["test"]))}  # fmt: skip
    return {**whole, "val": held}


def _by_time(recordings: Sequence[Recording], options: ArrayOptions) -> dict[str, list[Segment]]:
    """Beginning, middle and end of every recording; no frame is in two splits."""
    found: dict[str, list[Segment]] = {name: [] for name in SPLITS}
    for recording in recordings:
        total = recording.frames
        test = max(options.span, round(options.test_share * total))
        val = max(options.span, round(options.val_share * total))
        ends = [total - test - val, total - test, total]
        if ends[0] < options.span:
            continue  # too short to be divided; reported by the caller if nothing is left
        for split, start, stop in zip(SPLITS, [0, *ends], ends, strict=False):
            found[split].append(Segment(recording, start, stop))
    if not found["train"]:
        raise ValueError(
            f"no sequence under {options.root} has {3 * options.span} frames, three windows of "
            f"{options.span}: lower data.frames_in, data.frames_out or data.frame_step"
        )
    return found
