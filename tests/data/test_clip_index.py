"""The index of many clips and of long videos: parallel, resumable, without decoding everything."""

import pickle

import numpy as np
import pytest
import torch

from predcnn.data import create_datamodule
from predcnn.data.clips import index as clip_index
from predcnn.data.clips import videos
from predcnn.data.clips.decoding import read_frames, scan
from predcnn.data.clips.index import index_clips
from predcnn.data.clips.sources import ClipError
from predcnn.data.clips.video_folder import PackedClips
from tests.data.clips import moving_square, write_uneven_video, write_video


@pytest.fixture
def folder(tmp_path):
    for i in range(7):
        write_video(tmp_path / f"{i}.avi", moving_square(5 + i))
    return tmp_path


def test_the_index_of_several_threads_is_that_of_one(folder, monkeypatch):
    one = index_clips(folder)
    (folder / clip_index.FILE).unlink()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert index_clips(folder) == one


@pytest.mark.parametrize("save_every", [0, 60])
def test_a_scan_goes_on_where_it_was_interrupted(folder, monkeypatch, save_every):
    def interrupted(source, name, **options):
        if name == "4.avi":
            raise KeyboardInterrupt
        return scan(source, name, **options)

    monkeypatch.setattr(clip_index, "SAVE_EVERY", save_every)
    monkeypatch.setattr(clip_index, "scan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index_clips(folder)
    scanned = []
    monkeypatch.setattr(clip_index, "scan", lambda s, n, **o: scanned.append(n) or scan(s, n, **o))
    found = index_clips(folder)
    assert scanned == ["4.avi", "5.avi", "6.avi"]
    assert [clip.frames for clip in found.clips] == [5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi"])
def test_a_long_video_is_indexed_by_its_packets(tmp_path, monkeypatch, name):
    write = write_video if name.endswith("avi") else write_uneven_video
    write(tmp_path / name, moving_square(200))
    (whole,) = index_clips(tmp_path).clips
    monkeypatch.setattr(videos, "LONG", 150)
    (tmp_path / clip_index.FILE).unlink()
    index = index_clips(tmp_path, complete=False)
    (clip,) = index.clips
    assert clip.checks == ()
    assert (clip.times, clip.frames, clip.fps) == (whole.times, whole.frames, whole.fps)
    assert (clip.height, clip.width, clip.white) == (whole.height, whole.width, whole.white)
    for start in (0, 3, 97, 195):
        wanted = range(start, start + 5)
        found, expected = (read_frames(tmp_path, c, wanted) for c in (clip, whole))
        np.testing.assert_array_equal(found, expected)
    assert index_clips(tmp_path).clips == (whole,)  # a complete scan was asked for
    assert index_clips(tmp_path, complete=False).clips == (whole,)  # and is known now


def test_packets_that_do_not_tell_the_frames_are_not_trusted(tmp_path, monkeypatch):
    write_uneven_video(tmp_path / "a.mp4", moving_square(200))
    (whole,) = index_clips(tmp_path).clips
    (tmp_path / clip_index.FILE).unlink()
    monkeypatch.setattr(videos, "LONG", 150)
    decoded = videos._from

    def other_times(container, stream, time):
        return (frame for frame in decoded(container, stream, time + 1))

    monkeypatch.setattr(videos, "_from", other_times)
    assert index_clips(tmp_path, complete=False).clips == (whole,)


def test_damage_inside_a_long_video_is_named_when_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    write_uneven_video(path, moving_square(200))
    monkeypatch.setattr(videos, "LONG", 150)
    (clip,) = index_clips(tmp_path, complete=False).clips
    monkeypatch.setattr(videos, "_from", lambda *_: iter(()))
    with pytest.raises(ClipError, match=r"frames 10 to 12 cannot be decoded.*data\.strict=true"):
        read_frames(tmp_path, clip, [10, 11, 12])


@pytest.mark.parametrize(("option", "complete"), [({}, False), ({"cuts": "skip"}, True)])
def test_scene_changes_need_a_complete_scan(tmp_path, monkeypatch, option, complete):
    monkeypatch.setattr(videos, "LONG", 150)
    for name in ("a", "b", "c"):
        write_uneven_video(tmp_path / f"{name}.mp4", moving_square(200))
    data = create_datamodule("video_folder", root=tmp_path, height=24, **option)
    assert all(bool(clip.checks) is complete for clip in data.family.clips)
    assert data.split("train").batch(0, [0]).shape == (1, 20, 3, 24, 24)


def test_packed_clips_are_the_clips(folder):
    clips = index_clips(folder).clips
    packed = pickle.loads(pickle.dumps(PackedClips(clips)))
    assert tuple(packed[i] for i in range(len(clips))) == clips
