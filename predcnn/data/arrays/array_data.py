"""Arrays of numbers with units as a data set: three splits of windows, one scale per channel."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from predcnn.checks import one_of
from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.arrays.recordings import Catalogue, find_recordings
from predcnn.data.dividing import Segment, by_folders, by_names, by_time, complete, with_validation
from predcnn.data.draws import permutation, stream_key
from predcnn.data.scale import Scale, Units, fit_scale
from predcnn.data.sequences import SETS
from predcnn.data.sources.known_files import FileReport
from predcnn.data.splits import SPLITS, SequenceFamily
from predcnn.data.windows import WindowDataset
from predcnn.files import CHUNK, digest

CHUNK_FRAMES = 256  # frames read at a time while a scale is fitted, at most
CHUNK_VALUES = 1 << 22  # as CHUNK_FRAMES, for large frames
ROUNDING = 1e-3  # floats this far outside [0, 1] are still taken as 0..1


@SETS.register("array")
class ArrayData(SequenceFamily):
    """Windows (B, T, C, H, W) of arrays, float32, scaled; missing values are NaN."""

    Options: ClassVar[type] = ArrayOptions
    name: ClassVar[str] = "array"
    _rounded = 0  # values of the training part that lie outside [0, 1], but are taken as 0..1

    @cached_property
    def catalogue(self) -> Catalogue:
        """Contents of the files."""
        with self.naming_origin():
            return find_recordings(self.options)

    @cached_property
    def _divided(self) -> tuple[str, dict[str, list[Segment]]]:
        options, recordings = self.options, self.catalogue.recordings
        if options.split is not None:
            return "data.split", by_names(recordings, options)
        parts = by_folders(recordings)
        if parts["train"] and parts["test"]:
            return "folders train, val, test", with_validation(parts, options)
        enough = len(recordings) >= len(SPLITS)
        if options.protocol == "by_sequence" and not enough:
            raise ValueError(
                f"data.protocol=by_sequence needs three sequences, {options.root} has "
                f"{len(recordings)}; data.protocol=by_time divides each of them"
            )
        if options.protocol == "by_time" or not enough:
            return "by_time", by_time(recordings, options)
        order = permutation(stream_key(options.eval_seed, "arrays"), len(recordings)).tolist()
        count = max(1, int(options.test_share * len(recordings)))
        test, train = (
            complete(recordings[i] for i in sorted(part)) for part in (order[:count], order[count:])
        )
        return "by_sequence", with_validation({"train": train, "test": test}, options)

    @property
    def in_shape(self) -> tuple[int, int, int, int]:
        return (self.options.frames_in, len(self.catalogue.channels), *self.catalogue.size)

    @property
    def protocol(self) -> str:
        return self._divided[0]

    @property
    def targets(self) -> list[int]:
        """Indices of the channels that are predicted and measured."""
        names = list(self.catalogue.channels)
        for target in self.options.targets or ():
            one_of("channel in data.targets", target, names)
        return [names.index(name) for name in self.options.targets or names]

    @cached_property
    def scale(self) -> Scale:
        """The scale of every channel: given, or fitted to the training part."""
        options, catalogue = self.options, self.catalogue
        names, units = catalogue.channels, catalogue.units
        if options.scale is not None:
            scale = Scale.from_dict(options.scale)
            if len(scale.channels) != len(names):
                raise ValueError(f"the scale is of {list(scale.channels)}, the data have {names}")
            return scale
        if options.range is not None:
            return _given_range(options.range, names, units)
        if options.normalize == "none":
            return Scale("none", (0.0,) * len(names), (1.0,) * len(names), names, units)
        if options.normalize is not None:
            return fit_scale(options.normalize, self._training_frames(), names, units)
        return self._default_scale()

    def _default_scale(self) -> Scale:
        names, units, kinds = self.catalogue.channels, self.catalogue.units, self.catalogue.kinds
        whole = [kind for kind in kinds if kind == np.uint8 or kind.kind == "b"]
        if len(kinds) > 1 and (whole or len({kind.kind for kind in kinds}) > 1):
            raise ValueError(
                f"the files mix {', '.join(map(str, kinds))}: give data.range=[low,high] or "
                "data.normalize=minmax"
            )
        if whole:
            return _given_range((0, 255 if whole[0] == np.uint8 else 1), names, units)
        scale = fit_scale("minmax", self._training_frames(), names, units)
        low, high = min(scale.low), max(a + b for a, b in zip(scale.low, scale.span, strict=True))
        if kinds[0].kind == "f" and low >= -ROUNDING and high <= 1 + ROUNDING:
            if low < 0 or high > 1:
                parts = self._training_frames()
                self._rounded = sum(int(((part < 0) | (part > 1)).sum()) for part in parts)
            return _given_range((0, 1), names, units)
        return scale

    @property
    def facts(self) -> dict[str, str]:
        catalogue = self.catalogue
        lengths = [recording.frames for recording in catalogue.recordings]
        spread = " to ".join(f"{n:,}" for n in sorted({min(lengths), max(lengths)}))
        how = "given" if self.options.layout else "inferred"
        facts = {
            "recordings": f"{len(lengths):,} of {spread} frames",
            "layout": f"{', '.join(catalogue.layouts)} ({how})",
            "scale": str(self.scale),
        }
        if self._rounded:
            facts["scale"] += f", {self._rounded:,} values outside it by rounding"
        if self.options.targets:
            facts["targets"] = ", ".join(catalogue.channels[i] for i in self.targets)
        if catalogue.passed_over:
            facts["not used"] = ", ".join(catalogue.passed_over)
        return facts

    @cached_property
    def units(self) -> Units:
        """Facts of the numbers for training, metrics and drawing."""
        options = self.options
        mean = None
        if "acc" in options.metrics:
            total = count = 0
            for frames in self._training_frames():
                total = total + np.nansum(frames, 0, dtype=np.float64)
                count = count + np.isfinite(frames).sum(0)
            mean = total / np.maximum(count, 1)
        scores, coords = (options.metrics, options.thresholds), self.catalogue.coords
        return Units(self.scale, self.targets, *scores, coords, mean)

    @property
    def found(self) -> dict[str, object]:
        """Options that follow from the files, to be kept with a run."""
        return {"in_shape": list(self.in_shape), "scale": self.scale.as_dict()}

    @cached_property
    def held(self) -> dict[Path, set[str]]:
        """Files and the names of their recordings, by path."""
        held: dict[Path, set[str]] = {}
        for recording in self.catalogue.recordings:
            for place in (place for part in recording.parts for place in part):
                held.setdefault(place.path, set()).add(recording.name)
        return dict(sorted(held.items()))

    def prepare(self) -> list[FileReport]:
        reports = []
        for path, names in self.held.items():
            files = path.rglob("*") if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files if file.is_file())
            sha256 = _identity(path) if path.is_dir() else digest(path)
            first, *others = sorted(names)
            text = f"{len(names):,} recordings" if others else f"recording {first}"
            reports.append(FileReport(path, "present", text, sha256, size))
        return reports

    def split(self, name: str) -> "ArraySequences":
        return ArraySequences(self, name, self._divided[1][name])

    def _training_frames(self) -> Iterator[np.ndarray]:
        frame = len(self.catalogue.channels) * math.prod(self.catalogue.size)
        length = max(1, min(CHUNK_FRAMES, CHUNK_VALUES // frame))
        for segment in self._divided[1]["train"]:
            for start in range(segment.start, segment.stop, length):
                stop = min(start + length, segment.stop)
                yield segment.recording.values(self.options.mask, start, stop)


class ArraySequences(WindowDataset):
    """One split of arrays, float32 (B, T, C, H, W), scaled; missing values are NaN."""

    def __init__(self, family: ArrayData, split: str, segments: Sequence[Segment]) -> None:
        self._scale, options = family.scale, family.options
        size = (len(self._scale.channels), *family.catalogue.size)
        super().__init__(family, split, segments, size)
        count = len({segment.recording.name for segment in segments})
        self.source = f"{count:,} recording{'s' * (count != 1)} of {options.root}"
        identity = [(path.name, _identity(path)) for path in family.held]
        facts = [
            hashlib.sha256(repr(identity).encode()).hexdigest(),
            split, self._length, None if self.finite else options.seed,
            [options.frames_in, options.frames_out, options.frame_step, options.stride],
            [(s.recording.name, s.start, s.stop) for s in segments],
            self._scale.as_dict(), options.mask,
        ]  # fmt: skip
        self.fingerprint = hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _window(self, number: int, start: int) -> np.ndarray:
        options = self._options
        recording, times = self._recordings[number], (start, start + options.span)
        return self._scale.apply(recording.values(options.mask, *times, options.frame_step))


def _given_range(bounds: object, names: tuple[str, ...], units: tuple[str, ...]) -> Scale:
    pairs = np.array(bounds, np.float64)
    if pairs.shape == (2,):
        pairs = np.broadcast_to(pairs, (len(names), 2))
    if pairs.shape != (len(names), 2) or not (pairs[:, 0] < pairs[:, 1]).all():
        raise ValueError(
            f"data.range is [low, high] or one such pair per channel ({len(names)}), not {bounds}"
        )
    low, span = pairs[:, 0].tolist(), (pairs[:, 1] - pairs[:, 0]).tolist()
    return Scale("range", tuple(low), tuple(span), names, units)


def _identity(path: Path) -> str:
    """Return a hash of a file's size, first and last bytes; of a folder's, over its files."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    state = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        state.update(f"{file.relative_to(path.parent)} {size}".encode())
        with file.open("rb") as content:
            state.update(content.read(CHUNK))
            content.seek(max(size - CHUNK, 0))
            state.update(content.read(CHUNK))
    return state.hexdigest()
