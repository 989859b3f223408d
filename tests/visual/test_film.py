"""Films read back are the films that were written, and nothing half-written stays."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from predcnn.files import replacing
from predcnn.visual import comparison_frames, import_cv2, write_gif, write_mp4
from predcnn.visual.drawing import INK, PAPER, colour_error


def read_gif(path):
    with Image.open(path) as film:
        pages = [np.asarray(page.convert("RGB")) for page in ImageSequence.Iterator(film)]
        film.seek(0)
        durations = []
        for i in range(film.n_frames):
            film.seek(i)
            durations.append(film.info["duration"])
        return pages, durations, film.info.get("loop")


def test_gif_of_grey_frames_is_exact(tmp_path):
    frames = torch.randint(0, 256, (5, 1, 20, 30), dtype=torch.uint8)
    write_gif(tmp_path / "a.gif", frames, fps=4, hold_last=0.7)
    pages, durations, loop = read_gif(tmp_path / "a.gif")
    assert loop == 0
    assert durations == [250] * 4 + [700]
    for page, frame in zip(pages, frames, strict=True):
        np.testing.assert_array_equal(page, frame[0].unsqueeze(-1).expand(-1, -1, 3).numpy())


def test_gif_takes_floats():
    with pytest.raises(ValueError, match="4 channels"):
        write_gif("never.gif", torch.rand(2, 4, 8, 8))


def test_gif_of_a_comparison_keeps_page_and_error_colours(tmp_path):
    ramp = torch.linspace(0, 1, 16)
    frames = torch.stack([ramp.expand(16, 16), ramp.expand(16, 16).T, ramp.expand(16, 16)])
    frames = frames * torch.linspace(0.5, 1, 8).view(8, 1, 1, 1)
    pages = comparison_frames(frames[:4], frames[4:], {"a": 1 - frames[4:]}, caption="caption")
    write_gif(tmp_path / "a.gif", pages)
    read, _, _ = read_gif(tmp_path / "a.gif")
    assert len(read) == 8
    colours = np.unique(np.concatenate([page.reshape(-1, 3) for page in read]), axis=0)
    assert len(colours) <= 256
    assert {PAPER, INK} <= {tuple(colour) for colour in colours.tolist()}
    ladder = colour_error(np.linspace(0, 1, 256)[None])[0].astype(int)
    apart = np.abs(colours.astype(int)[:, None] - ladder).max(-1).min(0)
    assert apart.max() <= 24
    for page, original in zip(read, pages, strict=True):
        assert np.abs(page.astype(int) - original).mean() < 3


def test_gif_of_pages_that_differ_in_shape_is_refused(tmp_path):
    pages = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]
    with pytest.raises(ValueError, match="one shape"):
        write_gif(tmp_path / "a.gif", pages)
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif(tmp_path / "a.gif", [])
    with pytest.raises(ValueError, match="uint8"):
        write_gif(tmp_path / "a.gif", [np.zeros((8, 8, 3))])
    with pytest.raises(ValueError, match="fps lies in"):
        write_gif(tmp_path / "a.gif", pages[:1], fps=0)
    assert list(tmp_path.iterdir()) == []


def test_mp4_reads_back(tmp_path):
    cv2 = import_cv2()
    smooth = torch.linspace(0, 1, 41).expand(6, 3, 31, 41).clone()
    smooth[:, 2] = 0  # red and green differ from blue: a swapped order would show
    smooth *= torch.linspace(0.3, 1, 6).view(6, 1, 1, 1)
    path = tmp_path / "film.mp4"
    write_mp4(path, smooth, fps=7)
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(7)
    for frame in smooth:
        ok, page = film.read()
        assert ok
        assert page.shape == (32, 42, 3)
        expected = (frame * 255).permute(1, 2, 0).numpy()
        assert np.abs(page[:31, :41, ::-1] - expected).mean() < 8
    assert not film.read()[0]
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_missing_codec_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="cannot write 'zzzz' films of 8x8"):
        write_mp4(tmp_path / "a.mp4", torch.rand(2, 1, 8, 8), codec="zzzz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"ends in \.mp4"):
        write_mp4(tmp_path / "a.avi", torch.rand(2, 1, 8, 8))


def test_opencv_without_libgl_is_explained(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="opencv-python-headless"):
        write_mp4(tmp_path / "a.mp4", torch.rand(2, 1, 8, 8))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            assert temporary.suffix == ".png"
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
