"""Video files and GIFs, decoded by PyAV: frames are found by their presentation time."""

import itertools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from predcnn.data.clips.scenes import Survey
from predcnn.data.clips.sources import Clip, ClipError

if TYPE_CHECKING:
    import av

LOST_SHARE = 0.02  # containers estimate their length: missing more than this is damage
LOST_LEAST = 2  # frames, likewise
LONG = 100_000  # frames, more than an hour: a longer video is indexed by its packets
PLACES, TRIED = 8, 16  # of a long video: places where so many frames are decoded
GIF_END = b"\0;"  # decoders take a truncated GIF for a shorter video; a comment may follow
FORMATS = "asf,avi,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,mpegvideo,ogg"
"""Accepted container formats; playlists would make FFmpeg open other files."""


def scan_video(path: Path, name: str, survey: Survey, alone: bool = True) -> list[Clip]:
    """Decode every frame of a video and describe it as a clip.

    ``alone``: no other video is scanned meanwhile, so that the decoder may use all cores.
    """
    times, checks, damaged = [], [], 0
    with open_video(path) as (container, stream):
        stream.thread_type = "AUTO" if alone else "NONE"
        for frame in _decoded(container, stream):
            if frame is None:
                damaged += 1
            else:
                times.append(frame.pts)
                pixels = _rgb(frame)
                checks.append(zlib.crc32(pixels))
                survey.add(pixels)
        if None in times or any(later <= earlier for earlier, later in itertools.pairwise(times)):
            times = [None] * len(times)  # this container does not say when its frames are shown
        lost = max(damaged, _lost(container, stream, times))
        fps = float(stream.average_rate or 0)
    if not times:
        raise ClipError("no frame of it can be decoded")
    if lost > max(LOST_LEAST, LOST_SHARE * len(times)):
        raise ClipError(f"is truncated: {len(times)} of {len(times) + lost} frames can be decoded")
    if path.suffix.lower() == ".gif" and GIF_END not in path.read_bytes()[-64:]:
        raise ClipError(f"is truncated after {len(times)} frames: a complete GIF ends in a trailer")
    facts = survey.clip_facts(white=255.0)
    fps, times = fps if 0 < fps <= 1000 else None, () if None in times else tuple(times)
    return [Clip(name, name, "video", **facts, fps=fps, times=times, checks=tuple(checks))]


def index_video(path: Path, name: str) -> list[Clip] | None:
    """Describe a video of more than `LONG` frames by its packets, without decoding all of it.

    Returns None for a shorter one, and where the packets do not tell the times of the frames: at
    `PLACES` places they are compared with decoded frames.
    """
    import av

    with open_video(path) as (container, stream):
        seconds = (container.duration or 0) / av.time_base
        if (stream.frames or round(seconds * float(stream.average_rate or 0))) <= LONG:
            return None
        packets = (p for p in container.demux(stream) if p.size and not p.is_discard)
        times = [packet.pts for packet in packets]
        if None in times or len(set(times)) <= LONG:
            return None
        times.sort()
        survey = Survey()
        for i in range(PLACES):
            first = i * (len(times) - TRIED) // (PLACES - 1)
            frames = list(itertools.islice(_from(container, stream, times[first]), TRIED))
            if [frame.pts for frame in frames] != times[first : first + TRIED]:
                return None
            survey.add(_rgb(frames[0]))
        lost = _lost(container, stream, times)
        fps = float(stream.average_rate or 0)
    if lost > LOST_SHARE * len(times):
        raise ClipError(f"is truncated: {len(times)} of {len(times) + lost} frames are there")
    facts = {**survey.clip_facts(white=255.0), "frames": len(times), "cuts": ()}
    fps = fps if 0 < fps <= 1000 else None
    return [Clip(name, name, "video", **facts, fps=fps, times=tuple(times))]


def read_video(path: Path, clip: Clip, indices: Sequence[int]) -> np.ndarray:
    """Read the frames at ascending ``indices``, RGB uint8 (n, H, W, 3).

    Decoding starts at the keyframe before the first one, or at the beginning of the file where the
    container has no times or a seek does not lead to the frames of the scan. Frames of a video that
    was indexed by its packets are known by their times alone.
    """
    frames = _frames_at(path, [clip.times[i] for i in indices]) if clip.times else []
    if not clip.checks:
        sizes = {frame.shape[:2] for frame in frames}
        if len(frames) < len(indices) or sizes != {(clip.height, clip.width)}:
            raise ClipError(
                f"one of its frames {indices[0]} to {indices[-1]} cannot be decoded; a long video "
                "is indexed without decoding it, data.strict=true finds damage before the training"
            )
    elif [zlib.crc32(frame) for frame in frames] != [clip.checks[i] for i in indices]:
        frames = _frames_numbered(path, indices)
    if len(frames) < len(indices):
        raise ClipError(f"frame {indices[len(frames)]} of {clip.frames} cannot be decoded")
    return np.stack(frames)


def _frames_at(path: Path, times: Sequence[int]) -> list[np.ndarray]:
    wanted = set(times)
    with open_video(path) as (container, stream):
        frames = (f for f in _from(container, stream, times[0]) if f.pts in wanted)
        return [_rgb(frame) for frame in itertools.islice(frames, len(wanted))]


def _from(
    container: "av.container.InputContainer", stream: "av.VideoStream", time: int
) -> Iterator["av.VideoFrame"]:
    """Seek and yield the frames from ``time`` on, and those without a time."""
    container.seek(time, stream=stream)
    frames = (frame for frame in _decoded(container, stream) if frame is not None)
    yield from (frame for frame in frames if frame.pts is None or frame.pts >= time)


def _frames_numbered(path: Path, indices: Sequence[int]) -> list[np.ndarray]:
    wanted = set(indices)
    with open_video(path) as (container, stream):
        frames = (frame for frame in _decoded(container, stream) if frame is not None)
        reached = enumerate(itertools.islice(frames, indices[-1] + 1))
        return [_rgb(frame) for i, frame in reached if i in wanted]


@contextmanager
def open_video(path: Path) -> Iterator["tuple[av.container.InputContainer, av.VideoStream]"]:
    """Open a video and its first video stream; ClipError if that fails, inside as well."""
    import av

    try:
        options = {"format_whitelist": FORMATS}
        with av.open(str(path.absolute()), options=options) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                raise ClipError("cannot be opened: it has no video of a known codec")
            yield container, stream
    except av.FFmpegError as error:
        raise ClipError(f"cannot be opened, it is damaged or truncated: {error}") from error


def _decoded(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator["av.VideoFrame | None"]:
    """Yield frames in the order they are shown; None for data that the decoder refuses."""
    import av

    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            frames = [None]
        yield from frames


def _lost(
    container: "av.container.InputContainer", stream: "av.VideoStream", times: Sequence[int | None]
) -> int:
    """Estimate how many frames the container announces beyond those at ``times``.

    Without a count of frames its duration decides, unless longer audio may have set it.
    """
    import av

    if stream.frames:
        return stream.frames - len(times)
    if not container.duration or len(container.streams) > 1 or None in times[:1] or len(times) < 2:
        return 0
    step = (times[-1] - times[0]) / (len(times) - 1)
    duration = container.duration / av.time_base / float(stream.time_base)
    return round((duration - (times[-1] - times[0])) / step) - 1


def _rgb(frame: "av.VideoFrame") -> np.ndarray:
    """Return (H, W, 3) uint8, upright: phones store the rotation next to the pixels."""
    # the default starts a thread per core for each frame
    pixels = np.rot90(frame.to_ndarray(format="rgb24", threads=1), frame.rotation // 90)
    return np.ascontiguousarray(pixels)
