"""What a forecast continues: clips from disk, or raw frames on standard input."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from predcnn.data import to_float
from predcnn.data.clips.decoding import read_frames, scan
from predcnn.data.clips.sources import Clip, ClipError, find_sources
from predcnn.data.options import nearest
from predcnn.data.shaping import FITS, in_range, shaped_frames

STDIN = "-"
SIZES = ("native", "model")


@dataclass(frozen=True)
class Recording:
    """Known frames of one clip, read when they are asked for.

    Args:
        name: for messages and file names.
        clip: what is known about it.
        folder: where ``clip.source`` starts; None: ``stored`` holds the frames.
        stored: (T, H, W, C) as they came.
    """

    name: str
    clip: Clip
    folder: Path | None = None
    stored: np.ndarray | None = None

    def frames(self, times: Sequence[int], shape: "FrameShape") -> Tensor:
        """The frames at ascending ``times``, float32 (T, C, H, W) in [0, 1]."""
        known = self.stored is not None
        stored = self.stored[list(times)] if known else read_frames(self.folder, self.clip, times)
        values = in_range(stored, self.clip.white, self.clip.in_bytes)
        return to_float(torch.from_numpy(shape.applied(values)))


@dataclass(frozen=True)
class FrameShape:
    """What frames are made into before a predictor sees them.

    Args:
        channels: of the predictor.
        size: (height, width), or None: as they are; the predictor pads and crops.
        fit: see `predcnn.data.shaping.FITS`.
    """

    channels: int
    size: tuple[int, int] | None
    fit: str

    @classmethod
    def of(cls, size: object, fit: str, in_shape: Sequence[int]) -> "FrameShape":
        """From the words ``size`` (native, model or [height, width]) and ``fit``."""
        nearest("fit", fit, FITS)
        if isinstance(size, str):
            nearest("size", size, SIZES)
            return cls(in_shape[1], None if size == "native" else tuple(in_shape[2:]), fit)
        numbers = list(size) if isinstance(size, Sequence) else [size]
        if len(numbers) != 2 or not all(isinstance(n, int) and n > 0 for n in numbers):
            raise ValueError(f"size is native, model or [height,width], not {size!r}")
        return cls(in_shape[1], tuple(numbers), fit)

    def applied(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W, C) -> (T, channels, *size)."""
        return np.ascontiguousarray(shaped_frames(frames, self.channels, self.size, self.fit))

    def describe(self, clip: Clip, in_shape: Sequence[int]) -> str:
        """What happens to the frames of a clip, in words."""
        height, width = self.size or (clip.height, clip.width)
        words = [f"{clip.width}x{clip.height}"]
        if self.size is None:
            words.append("as they are")
            if (height, width) != tuple(in_shape[2:]):
                words.append(f"(trained on {in_shape[3]}x{in_shape[2]}; size=model scales to that)")
        elif (height, width) != (clip.height, clip.width):
            words.append(f"-> {width}x{height} (fit={self.fit})")
        if clip.channels != self.channels:
            words.append("in grey" if self.channels == 1 else "grey as RGB")
        return " ".join(words)


def open_recordings(
    given: Sequence[str], raw_shape: Sequence[int] | None
) -> tuple[list[Recording], dict[str, str]]:
    """Recordings of paths or "-", and what under a given folder cannot be used, with the reason.

    Raises:
        FileNotFoundError, ValueError: no such path, nothing usable, or a given file is damaged.
    """
    found, problems = [], {}
    for word in given:
        if word == STDIN:
            found.append(_standard_input(raw_shape))
            continue
        root = Path(word).expanduser()
        folder = root if root.is_dir() else root.parent
        sources = find_sources(root)
        for source in sources:
            name = source.path.relative_to(folder).as_posix()
            try:
                clips = scan(source, name)
            except ClipError as error:
                if len(sources) == 1:
                    raise ValueError(f"{source.path} {error}") from error
                problems[name] = str(error)
                continue
            found += [Recording(_label(clip, root), clip, folder) for clip in clips]
    if not found:
        reasons = "; ".join(f"{name} {reason}" for name, reason in problems.items())
        raise ValueError(f"nothing to predict from: {reasons}")
    return _numbered(found), problems


def _label(clip: Clip, root: Path) -> str:
    name = clip.name if clip.name != "." else root.resolve().name
    if clip.kind == "video":
        name = Path(name).with_suffix("").as_posix()
    return re.sub(r"\.np[yz]", "", name).replace("/", "_").replace(":", "_")


def _numbered(found: list[Recording]) -> list[Recording]:
    """The same recordings, equal names told apart by a number."""
    names = [recording.name for recording in found]
    return [
        Recording(
            f"{r.name}_{i}" if names.count(r.name) > 1 else r.name, r.clip, r.folder, r.stored
        )
        for i, r in enumerate(found)
    ]


def _standard_input(raw_shape: Sequence[int] | None) -> Recording:
    """Frames of bytes, one after the other, as `ffmpeg -f rawvideo -pix_fmt rgb24` writes them."""
    shape = tuple(raw_shape or ())
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            f"input=- reads raw frames of bytes and needs their shape: "
            f"raw_shape=[height,width,channels], not {raw_shape}"
        )
    data = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
    size = shape[0] * shape[1] * shape[2]
    if not data.size or data.size % size:
        raise ValueError(
            f"standard input held {data.size:,} bytes, no whole number of frames of {size:,} "
            f"(raw_shape={list(shape)})"
        )
    frames = data.reshape(-1, *shape)
    return Recording(
        "stdin", Clip("stdin", STDIN, "raw", *frames.shape, 255.0, "uint8"), stored=frames
    )
