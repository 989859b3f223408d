"""The known frames that a forecast continues: clips on disk, or raw frames on standard input."""

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from predcnn.checks import unknown
from predcnn.data import to_float
from predcnn.data.clips.decoding import read_end
from predcnn.data.clips.sources import Clip, ClipError, find_sources
from predcnn.data.shaping import FITS, in_range, shaped_frames

STDIN = "-"
SIZES = ("native", "model")
Progress = Callable[..., object]
"""``progress(what, done, total=None)``: called often while clips are read and predicted."""


def no_progress(what: str, done: int, total: int | None = None) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Window:
    """The frames of a clip to keep: ``length`` before ``stop``; None: before its end."""

    length: int
    stop: int | None = None

    @classmethod
    def of(cls, frames_in: int, horizon: int, start: int | None, step: int) -> "Window":
        """Return the frames that a forecast from ``start`` on and its trial need."""
        if start is None:
            return cls((horizon + frames_in - 1) * step + 1)
        return cls((horizon + frames_in) * step, start + horizon * step)


@dataclass(frozen=True)
class Recording:
    """Known frames of one clip: ``stored`` (n, H, W, C), from index ``first`` on."""

    name: str
    clip: Clip
    first: int
    stored: np.ndarray

    def frames(self, times: Sequence[int], shape: "FrameShape") -> Tensor:
        """Return the frames at ``times``, float32 (T, C, H, W) in [0, 1]."""
        values = self.stored[[time - self.first for time in times]]
        values = in_range(values, self.clip.white, self.clip.in_bytes)
        return to_float(torch.from_numpy(shape.applied(values)))


@dataclass(frozen=True)
class FrameShape:
    """The shape of a predictor's input; ``size`` None: that of the frames."""

    channels: int
    size: tuple[int, int] | None
    fit: str

    @classmethod
    def of(cls, size: object, fit: str, in_shape: Sequence[int]) -> "FrameShape":
        """Build from the options ``size`` (native, model or [height, width]) and ``fit``."""
        if fit not in FITS:
            raise ValueError(unknown("fit", fit, FITS))
        if isinstance(size, str):
            if size not in SIZES:
                raise ValueError(unknown("size", size, (*SIZES, "[height,width]")))
            return cls(in_shape[1], None if size == "native" else tuple(in_shape[2:]), fit)
        numbers = list(size) if isinstance(size, Sequence) else [size]
        if len(numbers) != 2 or not all(isinstance(n, int) and n > 0 for n in numbers):
            raise ValueError(f"size is native, model or [height,width], not {size!r}")
        return cls(in_shape[1], tuple(numbers), fit)

    def applied(self, frames: np.ndarray) -> np.ndarray:
        """Scale and transpose frames, (T, H, W, C) -> (T, channels, *size)."""
        return np.ascontiguousarray(shaped_frames(frames, self.channels, self.size, self.fit))

    def describe(self, clip: Clip, in_shape: Sequence[int]) -> str:
        """Return what happens to the frames of a clip, for a printed line."""
        height, width = self.size or (clip.height, clip.width)
        parts = [f"{clip.width}x{clip.height}"]
        if self.size is None:
            parts.append("as they are")
            if (height, width) != tuple(in_shape[2:]):
                parts.append(f"(trained on {in_shape[3]}x{in_shape[2]}; size=model scales to that)")
        elif (height, width) != (clip.height, clip.width):
            parts.append(f"-> {width}x{height} (fit={self.fit})")
        if clip.channels != self.channels:
            parts.append("in grey" if self.channels == 1 else "grey as RGB")
        return " ".join(parts)


def open_recordings(
    given: Sequence[str | Path],
    window: Window,
    raw_shape: Sequence[int] | None = None,
    image_range: Sequence[float] | None = None,
    progress: Progress = no_progress,
    report: Callable[[str], object] = print,
) -> list[Recording]:
    """Decode the frames of every clip in files and folders, once; "-" is standard input.

    Unusable clips of folders are reported and left out.

    Raises:
        FileNotFoundError, ValueError: no such path, nothing usable, or a given file is damaged.
    """
    found: list[Recording] = []
    problems = []
    for place in given:
        if place == STDIN:
            found.append(_standard_input(raw_shape, window))
            continue
        root = Path(place).expanduser()
        folder = root if root.is_dir() else root.parent
        sources = find_sources(root)
        for source in sources:
            name = source.place.relative_to(folder).as_posix()
            try:
                counted = functools.partial(progress, f"{name}: frames read")
                clips = read_end(source, name, window.length, window.stop, counted)
            except ClipError as error:
                if len(sources) == 1:
                    raise ValueError(f"{source.path} {error}") from error
                problems.append(f"{name} {error}")
                continue
            found += [
                Recording(_label(clip, root), clip.with_range(image_range), *held)
                for clip, *held in clips
            ]
    if not found:
        raise ValueError(f"nothing to predict from: {'; '.join(problems)}")
    for problem in problems:
        report(f"left out: {problem}")
    return _numbered(found)


def _label(clip: Clip, root: Path) -> str:
    name = clip.name if clip.name != "." else root.resolve().name
    if clip.kind == "video":
        name = Path(name).with_suffix("").as_posix()
    return re.sub(r"\.(np[yz]|tiff?)", "", name).replace("/", "_").replace(":", "_")


def _numbered(found: list[Recording]) -> list[Recording]:
    """Make equal names unique by a number."""
    count = Counter(recording.name for recording in found)
    return [
        replace(r, name=f"{r.name}_{i}") if count[r.name] > 1 else r for i, r in enumerate(found)
    ]


def _standard_input(raw_shape: Sequence[int] | None, window: Window) -> Recording:
    """Read frames of bytes, as `ffmpeg -f rawvideo -pix_fmt rgb24` writes them."""
    shape = tuple(raw_shape or ())
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input=- needs raw_shape=[height,width,channels], not {raw_shape}")
    data = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
    size = shape[0] * shape[1] * shape[2]
    if not data.size or data.size % size:
        raise ValueError(
            f"{data.size:,} bytes on standard input are no multiple of the {size:,} bytes of a "
            f"frame (raw_shape={list(shape)})"
        )
    frames = data.reshape(-1, *shape)
    first = max(0, min(window.stop or len(frames), len(frames)) - window.length)
    clip = Clip("stdin", STDIN, "raw", *frames.shape, 255.0, "uint8")
    return Recording("stdin", clip, first, frames[first:])
