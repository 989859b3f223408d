"""Clips: found, scanned, decoded; what is damaged says what is wrong with it."""

import dataclasses
import shutil
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from predcnn.data.clips.array_files import as_clips, value_range
from predcnn.data.clips.decoding import read_end, read_frames, scan
from predcnn.data.clips.index import FILE, index_clips
from predcnn.data.clips.sources import ClipError, Source, find_sources
from tests.data.clips import (
    CARPHONE,
    moving_square,
    write_frames,
    write_uneven_video,
    write_video,
)


def only_clip(root: Path):
    index = index_clips(root)
    assert not index.problems, index.problems
    (clip,) = index.clips
    return clip, index.folder


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
def test_a_video_is_decoded_frame_by_frame(tmp_path, ending):
    frames = moving_square(40)
    path = tmp_path / f"größe 50% {ending}"
    write_video(path, frames, "mp4v" if ending == ".mp4" else "MJPG")
    clip, folder = only_clip(tmp_path)
    assert (clip.frames, clip.height, clip.width, clip.channels) == (40, 24, 32, 3)
    assert (clip.white, clip.in_bytes, clip.cuts) == (255, True, ())
    found = read_frames(folder, clip, range(40)).astype(int)
    assert np.abs(found - frames).mean() < 4  # lossy codecs; red and blue would differ by 100
    for indices in ([0], [39], [7, 9, 30]):
        assert np.array_equal(read_frames(folder, clip, indices), found[indices])


def all_frames(path: Path) -> np.ndarray:
    """Every frame of a video, decoded from its beginning without seeking, RGB."""
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".ts"])
def test_any_frame_of_uneven_timing_is_the_one_of_a_decode_from_the_start(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_uneven_video(path, moving_square(60, 48, 64), "libx264" if ending != ".webm" else "vp9")
    clip, folder = only_clip(path)
    whole = all_frames(path)
    assert clip.frames == len(whole) == 60
    assert len(set(np.diff(clip.times))) > 9, "the frames are evenly spaced"
    for start in (0, 1, 16, 17, 18, 33, 50, 57):
        indices = [start, start + 1, start + 2]
        assert np.array_equal(read_frames(folder, clip, indices), whole[indices])


def test_a_seek_to_other_frames_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    write_uneven_video(path, moving_square(60, 48, 64))
    clip, folder = only_clip(path)
    shifted = dataclasses.replace(clip, times=(0, *clip.times[:-1]))
    assert np.array_equal(read_frames(folder, shifted, [40, 44]), all_frames(path)[[40, 44]])
    without = dataclasses.replace(clip, times=())
    assert np.array_equal(read_frames(folder, without, [40, 44]), all_frames(path)[[40, 44]])


def test_a_video_recorded_upright_is_upright(tmp_path):
    path = tmp_path / "a.mp4"
    write_uneven_video(path, moving_square(20, 48, 64))
    content, one = path.read_bytes(), struct.pack(">I", 1 << 16)
    none, end = bytes(4), struct.pack(">I", 1 << 30)
    straight = one + none * 3 + one + none * 3 + end
    minus = struct.pack(">i", -(1 << 16))
    quarter = none + one + none + minus + none * 4 + end
    at = content.index(straight, content.index(b"tkhd"))
    whole = all_frames(path)
    path.write_bytes(content[:at] + quarter + content[at + len(quarter) :])
    clip, folder = only_clip(path)
    assert (clip.height, clip.width) == (64, 48)
    capture = cv2.VideoCapture(str(path))
    assert capture.read()[1].shape == (64, 48, 3), "another reader turns it as well"
    np.testing.assert_array_equal(read_frames(folder, clip, [7])[0], np.rot90(whole[7], -1))


def test_the_end_of_a_clip_is_decoded_once(tmp_path):
    path = tmp_path / "a.mp4"
    write_uneven_video(path, moving_square(30, 48, 64))
    (source,) = find_sources(path)
    whole = all_frames(path)
    for stop, first in ((None, 25), (12, 7), (3, 0)):
        ((clip, at, frames),) = read_end(source, "a.mp4", 5, stop)
        assert (clip.frames, at) == (30, first)
        assert np.array_equal(frames, whole[first : stop or 30])


def test_a_gif_and_carphone(tmp_path):
    from predcnn.visual import write_gif

    write_gif(tmp_path / "a.gif", list(moving_square(6)), fps=10)
    clip, folder = only_clip(tmp_path)
    assert clip.frames == 6
    assert np.array_equal(read_frames(folder, clip, [0, 5]), moving_square(6)[[0, 5]])
    clip, _ = only_clip(Path(shutil.copy(CARPHONE, tmp_path / "b.mp4")))
    assert (clip.frames, clip.height, clip.width, clip.cuts) == (120, 144, 176, ())


def test_a_truncated_gif_is_not_a_shorter_video(tmp_path):
    from predcnn.visual import write_gif

    path = tmp_path / "a.gif"
    write_gif(path, list(moving_square(20)), fps=10)
    content = path.read_bytes()
    path.write_bytes(content + b"made by a tool")
    assert not index_clips(path).problems, "what follows the trailer is not damage"
    for length in (9, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        problem = index_clips(path).problems["a.gif"]
        assert any(text in problem for text in ("is truncated", "cannot be opened", "no frame"))


def test_images_come_in_the_order_of_their_numbers(tmp_path):
    frames = moving_square(12)
    write_frames(tmp_path / "walk", frames)
    (tmp_path / "walk/notes.txt").write_text("no image")
    clip, folder = only_clip(tmp_path)
    assert (clip.name, clip.frames) == ("walk", 12)
    assert np.array_equal(read_frames(folder, clip, range(12)), frames)


def test_sixteen_bit_images_stay_sixteen_bit(tmp_path):
    deep = np.full((4, 6, 8), 40_000, np.uint16)
    write_frames(tmp_path / "deep", deep)
    clip, folder = only_clip(tmp_path)
    assert (clip.white, clip.in_bytes) == (65535, False)
    assert (read_frames(folder, clip, [2]) == 40_000).all()


@pytest.mark.parametrize(
    ("shape", "clips"),
    [
        ((2, 5, 1, 8, 9), (2, 5, 8, 9, 1)),
        ((2, 5, 4, 8, 9), (2, 5, 8, 9, 4)),
        ((2, 5, 8, 9, 3), (2, 5, 8, 9, 3)),
        ((5, 8, 9, 3), (1, 5, 8, 9, 3)),
        ((5, 3, 8, 9), (1, 5, 8, 9, 3)),
        ((5, 8, 9), (1, 5, 8, 9, 1)),
    ],
)
def test_axes_of_arrays(shape, clips):
    array = np.arange(np.prod(shape)).reshape(shape) % 200
    found = as_clips(array)
    assert found.shape == clips
    if len(shape) == 5 and clips[-1] == shape[2]:
        assert np.array_equal(found[1, 2, ..., 0], array[1, 2, 0])


@pytest.mark.parametrize(
    ("values", "kind", "white"),
    [
        ([0, 255], "u1", 255),
        ([0, 1], "u1", 255),
        ([0, 1], "?", 1),
        ([0.0, 0.7], "f4", 1),
        ([-1e-4, 1.0005], "f8", 1),
        ([0.0, 1.0], "f2", 1),
    ],
)
def test_the_type_decides_the_range_of_an_array(values, kind, white):
    assert value_range(np.array(values, kind)) == white


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([-0.1, 1.0], "values from -0.1 to 1"),
        ([0.0, 1.1], r"data\.range=\[low,high\] or data\.normalize"),
        ([0, 255], "int64 values"),
        ([0.0, np.nan], "NaN or Inf"),
        ([0.0, np.inf], "NaN or Inf"),
    ],
)
def test_values_that_are_no_frames_are_refused(values, message):
    with pytest.raises(ClipError, match=message):
        value_range(np.array(values))


def _variable_size(folder: Path) -> None:
    write_frames(folder, moving_square(3))
    write_frames(folder / "more", moving_square(1, 10, 12))
    (folder / "more/frame0.png").rename(folder / "frame9.png")
    (folder / "more").rmdir()


DAMAGED = {
    "cut.mp4": (lambda p: p.write_bytes(CARPHONE.read_bytes()[:300_000]), "truncated|opened"),
    "short.avi": (
        lambda p: (
            write_video(p, moving_square(60)),
            p.write_bytes(p.read_bytes()[: p.stat().st_size // 3]),
        ),
        "truncated|opened",
    ),
    "zero.gif": (lambda p: p.write_bytes(b""), "cannot be opened"),
    "text.mp4": (lambda p: p.write_text("no video"), "cannot be opened"),
    "sizes": (_variable_size, "different sizes: 12x10, 32x24"),
    "torn": (
        lambda p: (write_frames(p, moving_square(2)), (p / "frame1.png").write_bytes(b"\x89PNG")),
        r"frame1\.png is not an image",
    ),
    "words.npy": (lambda p: np.save(p, np.array(["a"])), "not numbers"),
    "objects.npy": (lambda p: np.save(p, np.array([{}]), allow_pickle=True), "not an array"),
    "flat.npy": (lambda p: np.save(p, np.zeros((4, 4))), r"shape \(4, 4\)"),
    "none.npy": (lambda p: np.save(p, np.zeros((0, 4, 4, 3))), "holds no frames"),
    "complex.npy": (lambda p: np.save(p, np.zeros((2, 4, 4, 3), complex)), "not numbers"),
    "many.npy": (lambda p: np.save(p, np.zeros((5, 8, 9, 7))), "no axis of 1 or 3 channels"),
    "half.npz": (
        lambda p: (np.savez(p, a=np.zeros((2, 4, 4))), p.write_bytes(p.read_bytes()[:60])),
        "damaged, truncated",
    ),
    "half.npy": (
        lambda p: (np.save(p, np.zeros((9, 8, 8))), p.write_bytes(p.read_bytes()[:200])),
        "damaged, truncated",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_clip_says_what_is_wrong(tmp_path, name):
    make, message = DAMAGED[name]
    make(tmp_path / name)
    (source,) = find_sources(tmp_path)
    with pytest.raises(ClipError, match=message):
        scan(source, name)
    assert list(index_clips(tmp_path).problems) == [name]


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    with pytest.raises(ClipError):
        scan(Source(tmp_path / "gone.mp4", "video"), "gone.mp4")


def test_a_missing_path_is_an_error():
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        find_sources(Path("/no/such/place"))


def test_no_clip_there_says_what_a_clip_is(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(ValueError, match=r"no clip under .*a video \(avi"):
        find_sources(tmp_path)
    with pytest.raises(ValueError, match="is not a video"):
        find_sources(tmp_path / "readme.txt")


def test_the_index_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    from predcnn.data.clips import index as clip_index

    write_video(tmp_path / "a.avi", moving_square(12))
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 8, 8), np.uint8), y=np.ones((2, 8, 8), np.uint8))
    first = index_clips(tmp_path)
    assert [clip.name for clip in first.clips] == ["a.avi", "b.npz:x", "b.npz:y"]
    scanned = []
    monkeypatch.setattr(clip_index, "scan", lambda s, n, **o: scanned.append(n) or scan(s, n, **o))
    assert index_clips(tmp_path) == first
    assert scanned == []
    write_video(tmp_path / "a.avi", moving_square(14))
    second = index_clips(tmp_path)
    assert scanned == ["a.avi"]
    assert second.clips[0].frames == 14
    assert second.sha256["a.avi"] != first.sha256["a.avi"]
    (tmp_path / FILE).write_text("{damaged")
    assert index_clips(tmp_path) == second


def test_a_folder_that_cannot_be_written_is_indexed_every_time(tmp_path, monkeypatch, caplog):
    from predcnn.data.clips import index as clip_index

    def refuse(target):
        raise PermissionError(f"no writing to {target}")

    write_video(tmp_path / "a.avi", moving_square(12))
    monkeypatch.setattr(clip_index, "replacing", refuse)
    assert len(index_clips(tmp_path).clips) == 1
    assert "scanned at every start" in caplog.text


def test_cuts_are_found_and_motion_is_not_a_cut(tmp_path):
    frames = np.concatenate([moving_square(15), 255 - moving_square(15), moving_square(9)])
    write_video(tmp_path / "a.avi", frames)
    clip, _ = only_clip(tmp_path)
    assert clip.cuts == (15, 30)


def test_the_six_real_videos(shared, tmp_path):
    folder = shared("data/videos")
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    index = index_clips(tmp_path)
    assert not index.problems
    found = {clip.name: (clip.frames, clip.width, clip.height) for clip in index.clips}
    assert found == {
        "bigbuckbunny.mp4": (132, 1280, 720),
        "bikes.mp4": (250, 640, 272),
        "carphone_pristine.mp4": (120, 176, 144),
        "cockatoo.mp4": (280, 1280, 720),
        "newtonscradle.gif": (36, 200, 150),
        "realshort.mp4": (36, 320, 240),
    }
    for clip in index.clips:
        whole = all_frames(tmp_path / clip.name)
        for start in (0, clip.frames // 2, clip.frames - 3):
            indices = range(start, start + 3)
            assert np.array_equal(read_frames(tmp_path, clip, indices), whole[list(indices)])
    cuts = {clip.name: clip.cuts for clip in index.clips if clip.cuts}
    assert cuts == {"bikes.mp4": (30, 76, 137, 187, 242)}
