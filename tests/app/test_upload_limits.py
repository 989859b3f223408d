"""Uploads beyond the limits of the demo are refused before they are decoded."""

import itertools

import av
import numpy as np
import pytest

from predcnn.app import upload_limits
from predcnn.app.demo import CLIP, predicted
from predcnn.app.upload_limits import LIMITS, check_upload, time_limit
from predcnn.data.clips.videos import open_video
from tests.data.clips import CARPHONE, moving_square, write_video


def test_usual_clips_are_accepted(tmp_path):
    check_upload(CARPHONE)
    np.save(tmp_path / "a.npy", moving_square(30))
    np.savez(tmp_path / "b.npz", first=moving_square(30), second=moving_square(9))
    write_video(tmp_path / "c.avi", moving_square(30))
    for name in ("a.npy", "b.npz", "c.avi"):
        check_upload(tmp_path / name)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3001, 4, 4), "3,001 frames"),
        ((4, 1000, 4, 4, 1), "4,000 frames"),
        ((2, 1081, 1920), "1920x1081 pixels"),
        ((60, 1080, 1920), "119 MiB"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_large_arrays_are_refused_also_if_they_are_small_files(tmp_path, shape, message, packed):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    (np.savez_compressed if packed else np.save)(path, np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=message) as refusal:
        check_upload(path)
    assert str(refusal.value).endswith(f"an upload may have {LIMITS}")


@pytest.mark.parametrize(("frames", "size"), [(3001, (16, 16)), (1, (2000, 1100))])
def test_large_videos_are_refused(tmp_path, frames, size):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = size
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame(*size, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"3,001 frames|2000x1100 pixels"):
        check_upload(path)


def test_other_files_are_refused_by_their_ending(tmp_path):
    with pytest.raises(ValueError, match=r"run\.sh: an upload ends in \.avi, "):
        check_upload(tmp_path / "run.sh")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts", "clip.m3u8"])
@pytest.mark.parametrize("start", ["#EXTM3U\n#EXTINF:1,\n", "ffconcat version 1.0\nfile "])
def test_playlists_do_not_open_other_files(tmp_path, name, start):
    write_video(tmp_path / "private.avi", moving_square(12))
    (tmp_path / name).write_text(f"{start}private.avi\n#EXT-X-ENDLIST\n")
    with pytest.raises(ValueError, match="cannot be opened"), open_video(tmp_path / name):
        pytest.fail("opened")


def test_reading_and_predicting_end_in_time(monkeypatch):
    seconds = itertools.count(0.0, 10.0)
    monkeypatch.setattr(upload_limits.time, "monotonic", lambda: next(seconds))
    progress = time_limit()
    for done in range(1, 6):
        progress("a.mp4: frames read", done)
    with pytest.raises(ValueError, match=r"not finished after 6 frames read: .* 60 seconds of"):
        progress("a.mp4: frames read", 6)


def test_the_page_uses_the_limits(monkeypatch, tmp_path):
    monkeypatch.setattr(upload_limits, "MOST_SECONDS", 0.0)
    with pytest.raises(ValueError, match="not finished after 1 frames read"):
        predicted(None, CLIP, 0, str(CARPHONE), None, 5)
    np.save(tmp_path / "a.npy", np.zeros((3001, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="3,001 frames"):
        predicted(None, CLIP, 0, str(tmp_path / "a.npy"), None, 5)
