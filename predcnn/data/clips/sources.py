"""Files and folders that hold clips, and the description of one clip."""

import functools
import itertools
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from predcnn.data.dividing import SEPARATORS, number_in, stem_and_number
from predcnn.data.opencv import opencv

VIDEOS = frozenset(
    {".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)
DEEP = 65535.0  # white of images of 16 bits
TIFFS = frozenset({".tif", ".tiff"})  # one page is an image, several are a clip
IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp"}) | TIFFS
ARRAYS = frozenset({".npy", ".npz"})
ENDINGS = {"video": VIDEOS, "images": IMAGES, "array": ARRAYS}


class ClipError(ValueError):
    """Why a file or folder cannot be used as a clip."""


@dataclass(frozen=True)
class Source:
    """A video file, an array file, or the images of a folder whose names begin with ``stem``."""

    path: Path
    kind: str
    stem: str | None = None

    @property
    def place(self) -> Path:
        """The file or folder; for one of several sequences of a folder with its stem."""
        return self.path / self.stem.rstrip(SEPARATORS) if self.stem else self.path

    def files(self) -> list[Path]:
        """Return its files in the order of their frames."""
        return image_files(self.path, self.stem) if self.kind == "images" else [self.path]


@dataclass(frozen=True)
class Clip:
    """One continuous run of frames."""

    name: str  # the path from the root, for arrays with the name and row in it
    source: str  # the path of the file or folder from the root
    kind: str  # as of `Source`
    frames: int
    height: int
    width: int
    channels: int
    white: float  # the value that means 1: 255 for bytes, 65535 for 16 bits, 1 for the unit range
    dtype: str
    cuts: tuple[int, ...] = ()  # frames that begin a new scene
    fps: float | None = None  # of a video, on average
    times: tuple[int, ...] = ()  # of a video's frames, in units of its stream; numbers of images
    checks: tuple[int, ...] = ()  # CRC-32 of a video's frames, to verify those read after a seek
    item: tuple[str, int | None] | None = None  # name in an .npz and row; stem of images
    rounded: int = 0  # floats outside [0, 1], by rounding
    label: ClassVar[str] = ""

    @property
    def in_bytes(self) -> bool:
        """Whether uint8 holds its frames without loss."""
        return self.white == 255 and not self.dtype.startswith("float")

    def with_range(self, bounds: Sequence[float] | None) -> "Clip":
        """Return the clip whose images of 16 bits mean 0 to ``bounds[1]``; None: as it is."""
        deep = bounds is not None and self.white == DEEP
        return replace(self, white=float(bounds[1])) if deep else self

    @property
    def number(self) -> int | None:
        return number_in(Path(self.name.partition(":")[0]).stem)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Frames before which numbers of images are missing."""
        if self.kind != "images" or len(self.times) < 2:
            return ()
        steps = [after - before for before, after in itertools.pairwise(self.times)]
        ((usual, _),) = Counter(steps).most_common(1)
        return tuple(i for i, step in enumerate(steps, start=1) if step > usual)


def find_sources(root: Path) -> list[Source]:
    """Find everything under ``root`` that may be a clip, by path; ``root`` may be one itself."""
    if not root.exists():
        raise FileNotFoundError(f"no file or folder {root}")
    if root.is_file():
        kind = _kind(root)
        if kind not in ("video", "array"):
            raise ValueError(f"{root} is not a video, GIF or array; {accepted_endings()}")
        return [Source(root, kind)]
    found, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        real = here.resolve()
        folders[:] = [] if real in seen else sorted(f for f in folders if not f.startswith("."))
        if real in seen:
            continue
        seen.add(real)
        kinds = {name: _kind(here / name) for name in sorted(files) if not name.startswith(".")}
        if "images" in kinds.values():
            groups = _images(here, here.stat().st_mtime_ns)
            several = len(groups) > 1 and any(len(names) > 1 for names in groups.values())
            found += [Source(here, "images", stem) for stem in (groups if several else [None])]
        found += [Source(here / n, kind) for n, kind in kinds.items() if kind in ("video", "array")]
    if not found:
        raise ValueError(f"no clip under {root}; {accepted_endings()}")
    return sorted(found, key=lambda source: str(source.path))


def image_files(folder: Path, stem: str | None = None) -> list[Path]:
    """Return the images of a folder, or those of one stem, frame 2 before frame 10."""
    groups = _images(folder, folder.stat().st_mtime_ns)
    names = groups.get(stem, [])
    if stem is None:
        names = sorted(itertools.chain.from_iterable(groups.values()), key=_natural)
    return [folder / name for name in names]


@functools.lru_cache(maxsize=32)  # a flat folder may hold hundreds of thousands
def _images(folder: Path, _changed: int) -> dict[str, list[str]]:
    """Return the names of images by what precedes their number, "" for those without number."""
    groups: dict[str, list[str]] = {}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    for name in sorted(names, key=_natural):
        if _kind(folder / name) == "images":
            stem, number = stem_and_number(Path(name).stem)
            groups.setdefault("" if number is None else stem, []).append(name)
    return groups


def accepted_endings() -> str:
    """Return a sentence about the accepted files."""
    videos, images, arrays = (" ".join(sorted(e[1:] for e in ends)) for ends in ENDINGS.values())
    return f"a clip is a video ({videos}), a folder of images ({images}) or an array ({arrays})"


def _kind(path: Path) -> str | None:
    ending = path.suffix.lower()
    if ending in TIFFS and path.is_file() and opencv().imcount(str(path)) > 1:
        return "array"
    return next((kind for kind, endings in ENDINGS.items() if ending in endings), None)


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
