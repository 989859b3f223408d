"""The pages of a video show the right frames at the right time, unchanged but enlarged."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from predcnn.visual import comparison_frames, sequence_frames, write_strip
from predcnn.visual.drawing import BLUE, VERMILLION, colour_error, fit, font, panel_size, wrap


def clip(frames_in=3, frames_out=4, channels=1, size=(16, 12)):
    generator = torch.Generator().manual_seed(1)
    shape = (frames_in + frames_out, channels, *size)
    frames = (torch.rand(shape, generator=generator) * 255).round() / 255
    pred = (torch.rand((frames_out, *shape[1:]), generator=generator) * 255).round() / 255
    return frames[:frames_in], frames[frames_in:], pred


def enlarged(frame, scale):
    """(C, H, W) in [0, 1] -> (scale H, scale W, 3) uint8."""
    pixels = (frame * 255).round().byte().permute(1, 2, 0).expand(-1, -1, 3).numpy()
    return pixels.repeat(scale, 0).repeat(scale, 1)


def shows(page, panel):
    """Whether ``panel`` lies somewhere in ``page``, pixel for pixel."""
    height, width = panel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(page, (height, width, 3))[:, :, 0]
    corners = (page[: windows.shape[0], : windows.shape[1]] == panel[0, 0]).all(-1)
    return any((windows[y, x] == panel).all() for y, x in zip(*corners.nonzero(), strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_every_page_shows_its_frames(channels):
    past, truth, pred = clip(channels=channels)
    pages = comparison_frames(past, truth, {"moganet": pred}, caption="a caption")
    assert len(pages) == 7
    assert len({page.shape for page in pages}) == 1
    assert all(page.dtype == np.uint8 for page in pages)
    height, width, _ = pages[0].shape
    assert height % 2 == width % 2 == 0
    for t in range(3):
        assert shows(pages[t], enlarged(past[t], 12))
        assert not shows(pages[t], enlarged(truth[0], 12))
    for t in range(4):
        page = pages[3 + t]
        assert shows(page, enlarged(truth[t], 12))
        assert shows(page, enlarged(pred[t], 12))
        error = (pred[t] - truth[t]).abs().mean(0).numpy()
        assert shows(page, colour_error(error).repeat(12, 0).repeat(12, 1))
        assert not shows(page, enlarged(past[2], 12))  # pale by now


@pytest.mark.parametrize(("size", "factor"), [((16, 12), 13), ((64, 64), 4), ((90, 210), 1)])
def test_a_sequence_shows_input_then_prediction_in_frames_of_two_colours(size, factor):
    past, _, pred = clip(channels=3, size=size)
    pages = sequence_frames(past, pred)
    assert len(pages) == 7
    assert len({page.shape for page in pages}) == 1
    for t, (page, frame) in enumerate(zip(pages, torch.cat([past, pred]), strict=True)):
        assert shows(page, enlarged(frame, factor))
        above, border = page[:-20], (BLUE, VERMILLION)[t > 2]
        assert shows(above, np.full((4, factor * size[1] + 8, 3), border, np.uint8))
        assert not shows(above, np.full((4, 100, 3), (BLUE, VERMILLION)[t <= 2], np.uint8))
    assert not np.array_equal(pages[4][:50], pages[5][:50]), "the lead time does not change"


def test_several_predictions_stand_side_by_side():
    past, truth, first = clip()
    second = 1 - first
    pages = comparison_frames(past, truth, {"a": first, "b": second})
    for pred in (first, second):
        assert shows(pages[-1], enlarged(pred[-1], 12))
        error = (pred[-1] - truth[-1]).abs()[0].numpy()
        assert shows(pages[-1], colour_error(error).repeat(12, 0).repeat(12, 1))


def test_without_truth_there_is_no_error():
    past, truth, pred = clip()
    pages = comparison_frames(past, None, {"a": pred})
    assert shows(pages[-1], enlarged(pred[-1], 12))
    assert pages[0].shape[1] < comparison_frames(past, truth, {"a": pred})[0].shape[1] / 1.5


def test_uint8_and_float_draw_the_same():
    past, truth, pred = clip()
    floats = comparison_frames(past, truth, {"a": pred})
    whole = [(v * 255).round().to(torch.uint8) for v in (past, truth, pred)]
    bytes_ = comparison_frames(whole[0], whole[1], {"a": whole[2]})
    for a, b in zip(floats, bytes_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_predictions_are_clipped_for_display():
    past, truth, _ = clip()
    wild = torch.full_like(truth, 3.0)
    pages = comparison_frames(past, truth, {"a": wild})
    white = comparison_frames(past, truth, {"a": torch.ones_like(truth)})
    np.testing.assert_array_equal(pages[-1], white[-1])


def test_caption_is_drawn_and_wrapped():
    past, truth, pred = clip()
    short = comparison_frames(past, truth, {"a": pred}, caption="one line")
    none = comparison_frames(past, truth, {"a": pred})
    long = comparison_frames(past, truth, {"a": pred}, caption="many letters " * 30)
    assert none[0].shape[0] < short[0].shape[0] < long[0].shape[0]
    assert none[0].shape[1] == long[0].shape[1]
    assert (short[0][14:32, :100] < 100).any()


def test_lead_time_is_on_the_page():
    past = clip()[0]
    still = torch.zeros(4, 1, 16, 12)
    pages = comparison_frames(past, still, {"a": still})
    for a, b in itertools.pairwise(pages[3:]):
        assert (a != b).any()  # only the text and the marks change


def test_wrap_keeps_all_text_and_the_width():
    text = "SimVP moganet, Moving MNIST (embedded digits, isolated protocol), sequence 3"
    lines = wrap(text, 200, 14)
    assert " ".join(lines) == text
    assert all(font(14).getlength(line) <= 200 for line in lines)
    assert wrap("x" * 99, 100, 14)[0].endswith("…")
    assert wrap("", 100, 14) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 64), (192, 192)),
        ((32, 24), (192, 144)),
        ((144, 176), (144, 176)),
        ((7, 7), (189, 189)),
    ],
)
def test_small_frames_grow_by_an_integer_factor(size, expected):
    assert panel_size(*size, target=192) == expected


def test_large_frames_shrink_with_their_proportion():
    assert panel_size(720, 1280, target=192) == (216, 384)
    pixels = np.full((720, 1280, 3), 80, np.uint8)
    assert fit(pixels, (216, 384)).size == (384, 216)


BAD = {
    "channels": ((4, 2, 8, 8), ValueError, "2 channels.*1 .grey. or 3 .RGB."),
    "axes": ((4, 8, 8), ValueError, r"expected \(T, C, H, W\)"),
    "horizon": ((5, 1, 8, 8), ValueError, r"prediction 'a' has shape \(5, 1, 8, 8\), expected"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_shapes_are_named(name, tmp_path):
    shape, kind, match = BAD[name]
    past, truth = torch.rand(3, 1, 8, 8), torch.rand(4, 1, 8, 8)
    with pytest.raises(kind, match=match):
        comparison_frames(past, truth, {"a": torch.rand(shape)})
    with pytest.raises(kind, match=match):
        write_strip(tmp_path / "x.png", past, truth, {"a": torch.rand(shape)})
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_are_named():
    past, truth, pred = clip()
    with pytest.raises(ValueError, match="at least one"):
        comparison_frames(past, truth, {})
    with pytest.raises(ValueError, match=r"past has frames of \(1, 16, 8\), the future of"):
        comparison_frames(past[..., :8], truth, {"a": pred})
    with pytest.raises(ValueError, match="prediction 'a' holds NaN or Inf"):
        comparison_frames(past, truth, {"a": pred / 0})
    with pytest.raises(TypeError, match="uint8 or float"):
        comparison_frames(past, truth, {"a": pred.long()})
    with pytest.raises(TypeError, match="expected a tensor"):
        comparison_frames(past, truth, {"a": pred.numpy()})


@pytest.mark.parametrize("channels", [1, 3])
def test_strip_shows_all_rows(tmp_path, channels):
    past, truth, pred = clip(channels=channels)
    path = tmp_path / "new" / "strip.png"
    write_strip(path, past, truth, {"moganet": pred}, caption="a caption")
    page = np.asarray(Image.open(path))
    for frame in (*past, *truth, *pred):
        assert shows(page, enlarged(frame, 7))
    for t in range(4):
        error = (pred[t] - truth[t]).abs().mean(0).numpy()
        assert shows(page, colour_error(error).repeat(7, 0).repeat(7, 1))
    assert [p.name for p in path.parent.iterdir()] == ["strip.png"]


def test_long_strips_show_first_and_last(tmp_path):
    past, truth, pred = clip(frames_in=9, frames_out=31)
    write_strip(tmp_path / "strip.png", past, truth, {"a": pred})
    page = np.asarray(Image.open(tmp_path / "strip.png"))
    assert [shows(page, enlarged(frame, 7)) for frame in pred] == [
        i in (0, 3, 7, 10, 13, 17, 20, 23, 27, 30) for i in range(31)
    ]


def test_strip_without_truth(tmp_path):
    past, truth, pred = clip()
    write_strip(tmp_path / "a.png", past, None, {"a": pred})
    write_strip(tmp_path / "b.png", past, truth, {"a": pred})
    page = np.asarray(Image.open(tmp_path / "a.png"))
    assert shows(page, enlarged(pred[2], 7))
    assert page.shape[0] < np.asarray(Image.open(tmp_path / "b.png")).shape[0]
