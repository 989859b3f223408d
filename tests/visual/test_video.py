"""Videos read back are the videos that were written, and nothing half-written stays."""

import time

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from predcnn.files import replacing
from predcnn.visual import comparison_frames, write_gif, write_video
from predcnn.visual.drawing import INK, PAPER, colour_error
from predcnn.visual.video import CODECS, CRF


def read_gif(path):
    with Image.open(path) as gif:
        pages = [np.asarray(page.convert("RGB")) for page in ImageSequence.Iterator(gif)]
        gif.seek(0)
        durations = []
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
        return pages, durations, gif.info.get("loop")


def test_gif_of_grey_frames_is_exact(tmp_path):
    frames = torch.randint(0, 256, (5, 1, 20, 30), dtype=torch.uint8)
    write_gif(tmp_path / "a.gif", frames, fps=4)
    pages, durations, loop = read_gif(tmp_path / "a.gif")
    assert loop == 0
    assert durations == [250] * 4 + [1000]
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


@pytest.mark.parametrize(("ending", "codec"), [("mp4", "h264"), ("webm", "vp9")])
def test_a_video_reads_back(tmp_path, ending, codec):
    smooth = torch.linspace(0, 1, 41).expand(6, 3, 31, 41).clone()
    smooth[:, 2] = 0  # red and green differ from blue: a swapped order would show
    smooth *= torch.linspace(0.3, 1, 6).view(6, 1, 1, 1)
    path = tmp_path / f"video.{ending}"
    write_video(path, smooth, fps=7)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name.replace("libvpx-", ""), stream.pix_fmt) == (
            codec,
            "yuv420p",
        )
        assert float(stream.average_rate) == pytest.approx(7)
        pages = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    for frame, page in zip(smooth, pages, strict=True):
        assert page.shape == (32, 42, 3)
        expected = (frame * 255).permute(1, 2, 0).numpy()
        assert np.abs(page[:31, :41] - expected).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_a_video_plays_in_a_browser(tmp_path, browser, ending):
    write_video(tmp_path / f"video.{ending}", torch.rand(8, 1, 31, 41), fps=8)
    page = tmp_path / "page.html"
    page.write_text(f'<video src="video.{ending}" muted autoplay></video>')
    browser.get(page.as_uri())
    state = "const v = document.querySelector('video'); return [v.readyState, v.error?.code ?? 0]"
    end = time.monotonic() + 30
    while browser.execute_script(state) == [0, 0] or browser.execute_script(state)[0] < 4:
        ready, error = browser.execute_script(state)
        assert (error, time.monotonic() < end) == (0, True), f"readyState {ready}"
        time.sleep(0.1)
    size = "const v = document.querySelector('video'); return [v.videoWidth, v.videoHeight]"
    assert browser.execute_script(size) == [42, 32]


def test_other_endings_and_a_missing_encoder_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"\.mp4 or \.webm"):
        write_video(tmp_path / "a.avi", torch.rand(2, 1, 8, 8))
    monkeypatch.setitem(CODECS, ".mp4", "zzzz")
    monkeypatch.setitem(CRF, "zzzz", "1")
    with pytest.raises(RuntimeError, match="has no encoder for zzzz"):
        write_video(tmp_path / "a.mp4", torch.rand(2, 1, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "image.png"
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
