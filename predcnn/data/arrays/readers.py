"""Arrays in .npy, .npz, HDF5, netCDF, Zarr and TIFF files, read part by part."""

import functools
import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from predcnn import checks
from predcnn.data.sources.known_files import load_arrays

_module = functools.partial(checks.needed, extra="arrays")


@dataclass(frozen=True)
class Stored:
    """One array of a file."""

    name: str  # within the file; "" for a file that holds one array
    data: object  # has shape and dtype; ``data[index]`` reads that part alone
    dims: tuple[str, ...] = ()  # names of the axes, if the file has them
    axes: str = ""  # letters of a layout, where the format gives them (TIFF)
    units: str = ""  # e.g. "K"
    coords: Mapping[str, np.ndarray] = field(default_factory=dict)  # by axis name

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.data.dtype)

    def read(self, index: tuple) -> np.ndarray:
        """Return the part at ``index``, a tuple of integers and slices.

        Raises:
            ValueError: the part is damaged or missing.
        """
        try:
            return np.asarray(self.data[index])
        except OSError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            what = f"array {self.name}" if self.name else "the array"
            raise ValueError(f"{what} is damaged or truncated: {error}") from error


def open_arrays(path: Path) -> dict[str, Stored]:
    """Return the numeric arrays of a file by name; an open file is kept for the next call.

    Raises:
        ValueError: damaged, of an unknown kind, or without any numbers.
        ImportError: the reader's package is missing; names the extra.
    """
    # per process: handles of HDF5 files do not survive a fork
    return _opened(path, path.stat().st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=64)
def _opened(path: Path, _changed: int, _process: int) -> dict[str, Stored]:
    try:
        found = READERS[path.suffix.lower()](path)
    except (ImportError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # a damaged file raises almost anything
        raise ValueError(
            f"{path} cannot be read, it is damaged or of another format: {error}"
        ) from error
    numbers = {array.name: array for array in found if array.dtype.kind in "buif"}
    if not numbers:
        raise ValueError(f"{path} holds no array of numbers")
    return numbers


def find_files(root: Path) -> list[Path]:
    """Return the array files below a folder, or ``root`` itself if it is one, sorted."""
    if root.suffix.lower() in READERS and root.exists():
        return [root]
    if not root.is_dir():
        raise FileNotFoundError(f"data.root={root} is neither a folder nor an array file")
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        stores = [name for name in folders if Path(name).suffix.lower() == ".zarr"]
        folders[:] = [n for n in folders if n not in stores and not n.startswith(".")]
        known = [n for n in (*stores, *names) if Path(n).suffix.lower() in READERS]
        found += [Path(folder, n) for n in known if not n.startswith(".")]
    if not found:
        raise FileNotFoundError(f"no array file under {root}; accepted: {', '.join(READERS)}")
    return sorted(found)


class _Mapped:
    """An array of a .npy file; it is mapped for each read alone, so no page stays in memory."""

    def __init__(self, mapped: np.memmap) -> None:
        self.shape, self.dtype = mapped.shape, mapped.dtype
        order = "C" if mapped.flags.c_contiguous else "F"
        self._place = (mapped.filename, self.dtype, "r", mapped.offset, self.shape, order)

    def __getitem__(self, index: tuple) -> np.ndarray:
        return np.array(np.memmap(*self._place)[index])


def _numpy(path: Path) -> list[Stored]:
    content = load_arrays(path)
    if not isinstance(content, dict):
        return [Stored("", _Mapped(content) if isinstance(content, np.memmap) else content)]
    return [Stored(name, array) for name, array in content.items()]


def _hdf5(path: Path) -> list[Stored]:
    h5py, found = _module("h5py"), []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim:
            dims = tuple(dim.label for dim in item.dims)
            units = _text(item.attrs.get("units"))
            found.append(Stored(name, item, dims if all(dims) else (), units=units))

    h5py.File(path, "r").visititems(visit)
    return found


def _netcdf(path: Path) -> list[Stored]:
    xarray = _module("xarray")
    _module("h5netcdf")
    return _labelled(xarray.open_dataset(path, cache=False, decode_times=False))


def _zarr(path: Path) -> list[Stored]:
    zarr = _module("zarr")
    store = zarr.open(str(path), mode="r")
    if not hasattr(store, "arrays"):
        return [Stored("", store)]
    arrays = dict(store.arrays())
    # zarr 2, all that Python 3.10 has, knows format 2 alone: names are attributes there
    known = [array.metadata.to_dict() for array in arrays.values() if hasattr(array, "metadata")]
    named = [metadata.get("dimension_names") for metadata in known]
    if any(named) or any("_ARRAY_DIMENSIONS" in array.attrs for array in arrays.values()):
        xarray = _module("xarray")
        opened = xarray.open_zarr(path, chunks=None, decode_times=False, consolidated=False)
        return _labelled(opened)
    return [Stored(name, array) for name, array in sorted(arrays.items())]


def _labelled(dataset: object) -> list[Stored]:
    """Return the variables of an xarray dataset, with coordinates and units."""
    coords = {name: np.asarray(c) for name, c in dataset.coords.items() if c.ndim == 1}
    return [
        Stored(
            str(name),
            variable.variable,
            tuple(map(str, variable.dims)),
            units=_text(variable.attrs.get("units")),
            coords={dim: coords[dim] for dim in variable.dims if dim in coords},
        )
        for name, variable in dataset.data_vars.items()
    ]


class _Pages:
    """The pages of a TIFF file as an array (pages, H, W) or (pages, H, W, C)."""

    def __init__(self, pages: Sequence, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.pages, self.shape, self.dtype = pages, shape, dtype

    def __getitem__(self, index: tuple) -> np.ndarray:
        times, *rest = index
        pages = [self.pages[n] for n in range(self.shape[0])[times]]
        for page in pages:  # before memory is taken for what a damaged page claims
            if math.prod(page.shape) != math.prod(self.shape[1:]):
                raise ValueError(f"a page of shape {page.shape} in a stack of {self.shape[1:]}")
        return np.stack([page.asarray() for page in pages])[(slice(None), *rest)]


_ANY_FILE, _PACKED = 1 << 26, 2000  # bytes read at once: always, and per byte of a packed file
_TIFF_AXES = {"Y": "H", "X": "W", "S": "C", "C": "C", "T": "T", "I": "T", "Z": "T", "Q": "T"}


def _check_chain(tiff: object) -> None:
    """Raise ValueError if the pages point at each other in a circle: tifffile follows it for ever.

    A chain that breaks off is left to tifffile.
    """
    layout, file, seen = tiff.tiff, tiff.filehandle, set()
    place = tiff.pages.first.offset
    while 0 < place < file.size:
        if place in seen:
            raise ValueError(f"its page {len(seen)} is followed by an earlier one")
        seen.add(place)
        file.seek(place)
        count = file.read(layout.tagnosize)
        if len(count) == layout.tagnosize:
            (tags,) = struct.unpack(layout.tagnoformat, count)
            file.seek(min(place + layout.tagnosize + tags * layout.tagsize, file.size))
        following = file.read(layout.offsetsize)
        if len(following) < layout.offsetsize:
            return
        (place,) = struct.unpack(layout.offsetformat, following)


def _tiff(path: Path) -> list[Stored]:
    """Read pages as frames; a hyperstack has its own axes, several stacks have names."""
    tiff = _module("tifffile").TiffFile(path)
    _check_chain(tiff)
    first, *others = tiff.series
    # written one by one, every page is a series of its own
    alike = {(one.shape, one.dtype, len(one.pages)) for one in tiff.series} == {
        (first.shape, first.dtype, 1)
    }
    if others and alike:
        shape = (1 + len(others), *first.shape)
        return [_series("", tiff, tiff.pages, "T" + first.axes, shape, first)]
    names = [f"series{i}" if others else "" for i in range(1 + len(others))]
    return [
        _series(name, tiff, one.pages, one.axes, one.shape, one)
        for name, one in zip(names, tiff.series, strict=True)
    ]


def _series(
    name: str, tiff: object, pages: Sequence, axes: str, shape: Sequence[int], series: object
) -> Stored:
    axes = "".join(_TIFF_AXES.get(axis, "?") for axis in axes)
    stack = len(pages) > 1 and axes in ("THW", "THWC")
    claimed = math.prod(shape[stack:]) * series.dtype.itemsize
    if claimed > max(_ANY_FILE, _PACKED * tiff.filehandle.size):
        raise ValueError(f"{claimed >> 20} MiB cannot come from {tiff.filehandle.size:,} bytes")
    if stack:
        return Stored(name, _Pages(pages, tuple(shape), series.dtype), axes=axes)
    known = "?" not in axes and len(set(axes)) == len(axes)
    return Stored(name, series.asarray(), axes=axes if known else "")


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


READERS: dict[str, Callable[[Path], list[Stored]]] = {
    **dict.fromkeys((".npy", ".npz"), _numpy),
    **dict.fromkeys((".h5", ".hdf5"), _hdf5),
    **dict.fromkeys((".nc", ".nc4"), _netcdf),
    ".zarr": _zarr,
    **dict.fromkeys((".tif", ".tiff"), _tiff),
}
