"""The known frames that a forecast continues: clips on disk, or raw frames on standard input."""

import functools
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from predcnn.checks import one_of, unknown
from predcnn.data import to_float
from predcnn.data.clips.decoding import read_end
from predcnn.data.clips.sources import Clip, ClipError, find_sources
from predcnn.data.scale import Units
from predcnn.data.shaping import FITS, in_range, shaped_frames

STDIN = "-"
SIZES = ("native", "model")
Progress = Callable[..., object]
"""``progress(what, done, total=None)``: called often while clips are read and predicted."""


def no_progress(what: str, done: int, total: int | None = None) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Recording:
    """Known frames of one clip; fps, units and cuts as in `Forecast`."""

    name: str
    count: int
    frames: Callable[[range], Tensor]  # -> (T, C, H, W), or (B, T, C, H, W) of a batch
    shown: str = ""  # what happens to the frames, for the printed line
    fps: float | None = None
    units: Units | None = None
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The frames to read: ``past`` leads to the forecast, ``trial_past`` to ``truth``."""

    past: range
    trial_past: range | None
    truth: range | None

    def lead_times(self, cuts: Sequence[int]) -> tuple[int, ...]:
        """Return the lead times at which new scenes begin in the truth: at frames ``cuts``."""
        new = [cut for cut in cuts if self.trial_past[-1] < cut <= self.truth[-1]]
        return tuple(sorted({1 + sum(time < cut for time in self.truth) for cut in new}))


@dataclass(frozen=True)
class FrameShape:
    """The shape of a predictor's input."""

    channels: int
    size: tuple[int, int] | None  # (height, width); None: that of the frames
    fit: str
    trained: tuple[int, int]  # (height, width)
    image_range: Sequence[float] | None = None  # [0, white] of 16-bit images; None: [0, 65535]

    @classmethod
    def of(
        cls, size: object, fit: str, in_shape: Sequence[int], image_range: Sequence[float] | None
    ) -> "FrameShape":
        """Build from the options ``size`` (native, model or [height, width]) and ``fit``."""
        one_of("fit", fit, FITS)
        channels, trained = in_shape[1], tuple(in_shape[2:])
        if isinstance(size, str):
            if size not in SIZES:
                raise ValueError(unknown("size", size, (*SIZES, "[height,width]")))
            chosen = None if size == "native" else trained
        else:
            chosen = tuple(size) if isinstance(size, Sequence) else (size,)
            if len(chosen) != 2 or not all(isinstance(n, int) and n > 0 for n in chosen):
                raise ValueError(f"size is native, model or [height,width], not {size!r}")
        return cls(channels, chosen, fit, trained, image_range)

    def recording(self, name: str, clip: Clip, first: int, stored: np.ndarray) -> Recording:
        """Return a recording of stored frames (n, H, W, C), from index ``first`` on."""
        clip = clip.with_range(self.image_range)

        def frames(times: range) -> Tensor:
            values = in_range(stored[[t - first for t in times]], clip.white, clip.in_bytes)
            shaped = shaped_frames(values, self.channels, self.size, self.fit)
            return to_float(torch.from_numpy(np.ascontiguousarray(shaped)))

        shown = f", {self.describe(clip)}"
        return Recording(name, clip.frames, frames, shown, fps=clip.fps, cuts=clip.cuts)

    def describe(self, clip: Clip) -> str:
        """Return what happens to the frames of a clip, for a printed line."""
        height, width = self.size or (clip.height, clip.width)
        parts = [f"{clip.width}x{clip.height}"]
        if self.size is None:
            parts.append("as they are")
            if (height, width) != self.trained:
                trained = f"{self.trained[1]}x{self.trained[0]}"
                parts.append(f"(trained on {trained}; size=model scales to that)")
        elif (height, width) != (clip.height, clip.width):
            parts.append(f"-> {width}x{height} (fit={self.fit})")
        if clip.channels != self.channels:
            parts.append("in grey" if self.channels == 1 else "grey as RGB")
        return " ".join(parts)


def open_recordings(
    given: Sequence[str | Path],
    kept: tuple[int, int | None],
    shape: FrameShape,
    raw_shape: Sequence[int] | None,
    progress: Progress,
    report: Callable[[str], object],
) -> list[Recording]:
    """Decode the frames of every clip in files and folders, once; "-" is standard input.

    Unusable clips of folders are reported and left out; for ``kept`` see `kept_frames`.
    """
    found: list[Recording] = []
    problems = []
    for place in given:
        if place == STDIN:
            found.append(_standard_input(raw_shape, kept, shape))
            continue
        root = Path(place).expanduser()
        folder = root if root.is_dir() else root.parent
        sources = find_sources(root)
        for source in sources:
            name = source.place.relative_to(folder).as_posix()
            try:
                counted = functools.partial(progress, f"{name}: frames read")
                clips = read_end(source, name, *kept, counted)
            except ClipError as error:
                if len(sources) == 1:
                    raise ValueError(f"{source.path} {error}") from error
                problems.append(f"{name} {error}")
                continue
            found += [shape.recording(_label(clip, root), clip, *held) for clip, *held in clips]
    if not found:
        raise ValueError(f"nothing to predict from: {'; '.join(problems)}")
    for problem in problems:
        report(f"left out: {problem}")
    count = Counter(one.name for one in found)  # equal names become unique by a number
    return [
        replace(r, name=f"{r.name}_{i}") if count[r.name] > 1 else r for i, r in enumerate(found)
    ]


def _label(clip: Clip, root: Path) -> str:
    name = clip.name if clip.name != "." else root.resolve().name
    if clip.kind == "video":
        name = Path(name).with_suffix("").as_posix()
    return re.sub(r"\.(np[yz]|tiff?)", "", name).replace("/", "_").replace(":", "_")


def _standard_input(
    raw_shape: Sequence[int] | None, kept: tuple[int, int | None], shape: FrameShape
) -> Recording:
    """Read frames of bytes, as `ffmpeg -f rawvideo -pix_fmt rgb24` writes them."""
    sides = tuple(raw_shape or ())
    if len(sides) != 3 or not all(isinstance(n, int) and n > 0 for n in sides):
        raise ValueError(f"input=- needs raw_shape=[height,width,channels], not {raw_shape}")
    data = np.frombuffer(sys.stdin.buffer.read(), np.uint8)
    size = math.prod(sides)
    if not data.size or data.size % size:
        raise ValueError(
            f"{data.size:,} bytes on standard input are not a multiple of the {size:,} bytes of a "
            f"frame (raw_shape={list(sides)})"
        )
    frames, (length, stop) = data.reshape(-1, *sides), kept
    first = max(0, min(stop or len(frames), len(frames)) - length)
    clip = Clip("stdin", STDIN, "raw", *frames.shape, 255.0, "uint8")
    return shape.recording("stdin", clip, first, frames[first:])


def kept_frames(
    frames_in: int, horizon: int, start: int | None, step: int
) -> tuple[int, int | None]:
    """Return the number of frames to keep of a clip, and the frame they end before; None: all."""
    if start is None:
        return (horizon + frames_in - 1) * step + 1, None
    return (horizon + frames_in) * step, start + horizon * step


def plan_of(
    name: str, count: int, frames_in: int, horizon: int, start: int | None, step: int
) -> Plan:
    """Choose the frames for a forecast from ``start`` on; None: after the last frame."""
    reach = (frames_in - 1) * step + 1  # frames of the clip that the past covers
    first = count - 1 + step if start is None else start
    if start is not None and not 0 < start <= count:
        raise ValueError(f"start={start}: {name} has the frames 0..{count - 1}")
    if first - step - reach + 1 < 0:
        raise ValueError(
            f"{name} has {count} frames, the checkpoint needs {frames_in} known ones"
            f"{f' (every {step}th, {reach} in all)' if step > 1 else ''} before frame "
            f"{first if start is not None else count}: a longer clip, or a model trained with a "
            "smaller data.frames_in"
        )
    past = range(first - frames_in * step, first, step)
    if start is not None:
        truth = range(first, min(count, first + horizon * step), step)
        return Plan(past, past, truth) if len(truth) else Plan(past, None, None)
    known = range(past[-1] - (horizon + frames_in - 1) * step, past[-1] + 1, step)
    if known[0] < 0:
        return Plan(past, None, None)
    return Plan(past, known[:frames_in], known[frames_in:])
