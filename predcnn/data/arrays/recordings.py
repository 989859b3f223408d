"""Sequences in array files: by file, by axis N, by name stem, by paired arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar

import numpy as np

from predcnn.checks import one_of
from predcnn.data.arrays.layout import layout_of, read_frames, sizes
from predcnn.data.arrays.options import ArrayOptions
from predcnn.data.arrays.readers import Stored, find_files, open_arrays
from predcnn.data.dividing import SEPARATORS, as_list, number_in, stem_and_number
from predcnn.data.grey import names_with_grey, with_grey


@dataclass(frozen=True)
class Place:
    """One sequence of an array in a file; ``row`` is its index on axis N if there is one."""

    path: Path
    array: str
    layout: str
    row: int | None

    def read(self, times: slice) -> np.ndarray:
        """Read frames (T, C, H, W)."""
        stored = open_arrays(self.path)[self.array]
        try:
            return read_frames(stored, self.layout, self.row, times)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class Recording:
    """Frames that follow each other in time."""

    name: str  # file and index
    parts: tuple[tuple[Place, ...], ...]  # in time; the places of each are stacked as channels
    lengths: tuple[int, ...]  # frames of each part
    number: int | None = None  # a year or another number in the name
    label: str = ""  # the entry of ``data.split`` that names its arrays, if one does
    grey: bool = False  # whether grey replaces the second of three channels
    times: ClassVar[tuple[int, ...]] = ()

    @property
    def frames(self) -> int:
        return sum(self.lengths)

    def read(self, start: int, stop: int, step: int = 1) -> np.ndarray:
        """Read every ``step``-th frame of start <= t < stop, (T, C, H, W)."""
        found, first = [], 0
        for places, length in zip(self.parts, self.lengths, strict=True):
            begin = max(start - first, 0)
            begin += (start - first - begin) % step  # keep the phase across parts
            end = min(stop - first, length)
            if begin < end:
                stacked = [place.read(slice(begin, end, step)) for place in places]
                found.append(np.concatenate(stacked, axis=1))
            first += length
        return np.concatenate(found)

    def values(self, mask: float | None, start: int, stop: int, step: int = 1) -> np.ndarray:
        """Read as `read` does; missing values, equal to ``mask`` or infinite, are NaN."""
        frames = without_missing(self.read(start, stop, step), mask)
        return with_grey(frames) if self.grey else frames


@dataclass(frozen=True)
class Catalogue:
    """All recordings of a data set and what they have in common."""

    recordings: tuple[Recording, ...]
    channels: tuple[str, ...]  # names
    units: tuple[str, ...]  # "" where unknown
    size: tuple[int, int]  # (H, W)
    kinds: tuple[np.dtype, ...]
    layouts: tuple[str, ...]
    passed_over: tuple[str, ...]  # arrays that are not used
    coords: Mapping[str, np.ndarray]  # {"H": values, "W": values} where the files have them


def find_recordings(options: ArrayOptions) -> Catalogue:
    """List the contents of every file of ``options.root``; no frame is read."""
    stacks: list[_Stack] = []
    passed: set[str] = set()
    seen: set[str] = set()
    partial: dict[object, dict[str, tuple[Path, Stored]]] = {}
    files = find_files(options.root)
    base = options.root.parent if files == [options.root] else options.root  # .zarr is a folder
    for path in files:
        arrays = open_arrays(path)
        seen |= set(arrays)
        labels = _labels(options, arrays, path.name)
        if labels:
            stacks += [_Stack(path, [(path, arrays[n])], label, order)
                       for label, names in labels for order, n in enumerate(names)]  # fmt: skip
            passed |= set(arrays) - {name for _, names in labels for name in names}
            continue
        chosen = _chosen(options.variables, arrays, path)
        passed |= set(arrays) - {array.name for array in chosen}
        if len(chosen) < len(options.variables or [None]):
            for array in chosen:
                partial.setdefault(number_in(path.stem), {})[array.name] = (path, array)
        else:
            stacks.append(_Stack(path, [(path, array) for array in chosen]))
    for name in options.variables or ():
        one_of("variable in data.variables", name, sorted(seen))
    stacks += _joined(partial, options.variables)
    return _catalogue(stacks, base, options, tuple(sorted(passed - {""})))


@dataclass
class _Stack:
    """Arrays that are stacked as channels, with all their sequences."""

    path: Path
    arrays: list[tuple[Path, Stored]]
    label: str = ""
    order: int = 0


def _labels(
    options: ArrayOptions, arrays: Mapping[str, Stored], file: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the entries of ``data.split`` that name arrays of a file, and these names."""
    entries = [entry for value in (options.split or {}).values() for entry in as_list(value)]
    found = []
    for entry in entries:
        pattern, _, names = entry.rpartition(":")
        pair = tuple(names.split("+"))
        if set(pair) <= set(arrays) and fnmatch(file, pattern or "*"):
            found.append((entry, pair))
    return found


def _chosen(wanted: Sequence[str] | None, arrays: Mapping[str, Stored], path: Path) -> list[Stored]:
    if wanted is not None:
        return [arrays[name] for name in wanted if name in arrays]
    if len(arrays) == 1:
        return list(arrays.values())
    frames = [array for array in arrays.values() if len(array.shape) >= 3]
    if len(frames) != 1:
        names = ", ".join(f"{a.name} {a.shape}" for a in (frames or arrays.values()))
        raise ValueError(f"{path} holds {names}: choose with data.variables=[…]")
    return frames


def _joined(
    partial: Mapping[object, Mapping[str, tuple[Path, Stored]]], wanted: Sequence[str] | None
) -> list[_Stack]:
    """Stack variables that lie in files of their own, by the year or number in the name."""
    found = []
    for number, arrays in partial.items():
        missing = [name for name in wanted if name not in arrays]
        if missing:
            path = next(iter(arrays.values()))[0]
            raise ValueError(f"no {', '.join(missing)} for {number}, which {path} belongs to")
        pairs = [arrays[name] for name in wanted]
        found.append(_Stack(pairs[0][0], pairs))
    return found


def _catalogue(
    stacks: Sequence[_Stack], base: Path, options: ArrayOptions, passed: tuple[str, ...]
) -> Catalogue:
    pieces: dict[str, list[tuple]] = {}
    grids, channels, layouts, kinds = {}, {}, {}, {}
    for stack in stacks:
        span = 1 if stack.label else options.span
        made = [(path, a, layout_of(a, options.layout, span)) for path, a in stack.arrays]
        rows, length, *grid = _common_sizes(stack.path, made)
        name = str(stack.path.relative_to(base))
        grids.setdefault(tuple(grid), name)
        channels.setdefault(_channel_names(made, bool(stack.label)), name)
        layouts |= {layout: name for _, _, layout in made}
        kinds |= {array.dtype: name for _, array, _ in made}
        for row in range(rows):
            places = tuple(
                Place(path, array.name, layout, row if "N" in layout else None)
                for path, array, layout in made
            )
            key, order = _key(stack, name, made[0][2], row)
            pieces.setdefault(key, []).append((order, places, length, stack.label))
    for what, found in (("sizes", grids), ("channels", channels)):
        if len(found) > 1:
            listed = "; ".join(f"{name} has {value}" for value, name in list(found.items())[:3])
            raise ValueError(f"the files have different {what}: {listed}")
    array = stacks[0].arrays[0][1]
    axes = dict(zip(next(iter(layouts)), array.dims, strict=False))
    coords = {x: array.coords[axes[x]] for x in "HW" if axes.get(x) in array.coords}
    stored, units = zip(*next(iter(channels)), strict=True)
    names = names_with_grey(stored, options.targets)
    recordings = tuple(_recordings(pieces, grey=names != stored))
    return Catalogue(
        recordings, names, units, next(iter(grids)), tuple(kinds),
        tuple(layouts), passed, coords,
    )  # fmt: skip


def _common_sizes(path: Path, made: Sequence[tuple[Path, Stored, str]]) -> tuple[int, ...]:
    """Return the sizes of N, T, H and W that variables share, at the same coordinates."""
    shared = {tuple(sizes(array, layout)[axis] for axis in "NTHW") for _, array, layout in made}
    if len(shared) > 1:
        named = ", ".join(f"{array.name} {array.shape}" for _, array, _ in made)
        raise ValueError(f"{path}: variables of different grids or times: {named}")
    for axis in "HW":
        first: tuple[str, np.ndarray] | None = None
        for _, array, layout in made:
            dim = array.dims[layout.index(axis)] if array.dims else ""
            values = array.coords.get(dim)
            if values is None or values.dtype.kind not in "iuf":
                continue
            here = f"{array.name} has {dim} {values[0]:g} .. {values[-1]:g}"
            first = first or (here, values)
            if not np.allclose(values, first[1], equal_nan=True):
                raise ValueError(f"{path}: variables of different grids: {first[0]}, {here}")
    return shared.pop()


def _key(stack: _Stack, name: str, layout: str, row: int) -> tuple[str, tuple]:
    """Return a recording's name and the order of a piece within it."""
    index = f"[{row}]" if "N" in layout else ""
    if stack.label:
        return f"{name}:{stack.label}{index}", (stack.order,)
    if "T" not in layout and "N" not in layout:  # single frames: sequences by the stem of the name
        path = Path(name)
        stem, frame = stem_and_number(path.stem)
        stem = "" if frame is None else stem.rstrip(SEPARATORS)
        return str(path.parent / stem), (frame or 0, path.stem)
    return f"{name}{index}", (0,)


def _recordings(pieces: Mapping[str, list[tuple]], grey: bool) -> Iterator[Recording]:
    for name, found in pieces.items():
        _, parts, lengths, labels = zip(*sorted(found, key=lambda piece: piece[0]), strict=True)
        row = parts[0][0].row
        number = number_in(Path(name.split(":")[0]).stem, years_only=row is not None)
        yield Recording(name, parts, lengths, row if number is None else number, labels[0], grey)


def _channel_names(
    made: Sequence[tuple[Path, Stored, str]], unnamed: bool
) -> tuple[tuple[str, str], ...]:
    """Return (name, unit) of every channel: the variable's, with an index where it has several."""
    found = []
    for _, array, layout in made:
        count = sizes(array, layout)["C"]
        name = "" if unnamed else array.name.rpartition("/")[2]
        if count == 1:
            found.append((name or "value", array.units))
        else:
            found += [(f"{name}{i}" if name else f"channel{i}", array.units) for i in range(count)]
    return tuple(found)


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
