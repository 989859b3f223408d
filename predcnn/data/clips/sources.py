"""Files and folders that hold clips, and the description of one clip."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

VIDEOS = frozenset(
    {".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"}
)
IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
ARRAYS = frozenset({".npy", ".npz"})
ENDINGS = {"video": VIDEOS, "images": IMAGES, "array": ARRAYS}


class ClipError(ValueError):
    """Why a file or folder cannot be used as a clip."""


@dataclass(frozen=True)
class Source:
    """A video file, a folder of images, or an array file."""

    path: Path
    kind: str

    def files(self) -> list[Path]:
        """Return its files in the order of their frames."""
        return image_files(self.path) if self.kind == "images" else [self.path]


@dataclass(frozen=True)
class Clip:
    """One continuous run of frames.

    Args:
        name: for tables and messages: the path from the root, for arrays with what in it.
        source: the path of the file or folder from the root.
        kind: as of `Source`.
        frames: how many there are.
        height: of the frames, in pixels.
        width: of the frames, in pixels.
        channels: 3 (RGB) of videos and images, any number of arrays.
        white: the value that means 1: 255 for bytes, 65535 for 16 bits, 1 for the unit range.
        number: the type of the stored numbers, as numpy calls it.
        cuts: frames that begin a new scene.
        fps: frames per second that a video says it has, on average.
        times: when each frame of a video is shown, in units of its stream; none if not known.
        checks: CRC-32 of each frame of a video, to verify frames read after a seek.
        item: of arrays, the name in the .npz ("" of an .npy) and the row, or None for all.
    """

    name: str
    source: str
    kind: str
    frames: int
    height: int
    width: int
    channels: int
    white: float
    number: str
    cuts: tuple[int, ...] = ()
    fps: float | None = None
    times: tuple[int, ...] = ()
    checks: tuple[int, ...] = ()
    item: tuple[str, int | None] | None = None

    @property
    def in_bytes(self) -> bool:
        """Whether uint8 holds its frames without loss."""
        return self.white == 255 and not self.number.startswith("float")


def find_sources(root: Path) -> list[Source]:
    """Find everything under ``root`` that may be a clip, by path; ``root`` may be one itself.

    Hidden files and folders are skipped, and files with other endings.
    """
    if not root.exists():
        raise FileNotFoundError(f"no file or folder {root}")
    if root.is_file():
        kind = _kind(root)
        if kind not in ("video", "array"):
            raise ValueError(f"{root} is no video, GIF or array; {accepted_endings()}")
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
            found.append(Source(here, "images"))
        found += [Source(here / n, kind) for n, kind in kinds.items() if kind in ("video", "array")]
    if not found:
        raise ValueError(f"no clip under {root}; {accepted_endings()}")
    return sorted(found, key=lambda source: str(source.path))


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, frame 2 before frame 10."""
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted((path for path in files if _kind(path) == "images"), key=_natural)


def accepted_endings() -> str:
    """Return what a clip may be, for error messages."""
    videos, images, arrays = (" ".join(sorted(e[1:] for e in ends)) for ends in ENDINGS.values())
    return f"a clip is a video ({videos}), a folder of images ({images}) or an array ({arrays})"


def _kind(path: Path) -> str | None:
    ending = path.suffix.lower()
    return next((kind for kind, endings in ENDINGS.items() if ending in endings), None)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", path.name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
