"""The page: its inputs without a browser, and once driven in a real one."""

import time

import numpy as np
import pytest
import torch

from predcnn.app.demo import CLIP, DRAWING, EXAMPLE, build_page, predicted, serve, show
from predcnn.app.saved_run import load_run
from predcnn.app.train import train
from predcnn.forecasting.drawn_digits import drawn_digit, moving_digits
from tests.app.test_train import command_cfg
from tests.data.clips import CARPHONE, moving_square

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


def drawing() -> dict:
    layer = np.zeros((200, 160, 4), np.uint8)
    layer[40:150, 70:90] = 255  # a one
    return {"layers": [layer], "composite": layer, "background": None}


def test_a_drawing_becomes_a_digit_like_mnists():
    digit = drawn_digit(drawing())
    assert (digit.shape, digit.dtype, digit.max()) == ((28, 28), np.uint8, 255)
    rows, columns = (np.flatnonzero(digit.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1]) == (4, 23)
    assert abs((columns[0] + columns[-1]) / 2 - 13.5) <= 0.5
    for nothing in (None, {}, {"layers": [np.zeros((9, 9, 4), np.uint8)]}):
        with pytest.raises(ValueError, match="draw a digit first"):
            drawn_digit(nothing)


def test_a_drawn_digit_bounces_uncut():
    frames = moving_digits(drawn_digit(drawing()), (3, 3, 40, 48), 6, seed=1)
    assert frames.shape == (9, 3, 40, 48)
    assert torch.equal(frames[:, 0], frames[:, 2])
    ink = frames[:, 0].sum((1, 2))
    assert torch.allclose(ink, ink[0].expand(9))
    assert not torch.equal(frames[0], frames[1])


def test_every_source_gives_an_animation_and_a_curve(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET))
    run = load_run(str(tmp_path / "run/checkpoints/best.ckpt"))
    np.save(tmp_path / "short.npy", moving_square(12))
    cases = [
        (EXAMPLE, None, None, True),
        (DRAWING, None, drawing(), True),
        (CLIP, str(CARPHONE), None, True),
        (CLIP, str(tmp_path / "short.npy"), None, False),
    ]
    for source, clip, drawn, known in cases:
        found = predicted(run, source, 1, clip, drawn, 12)
        assert found.past.shape == (10, 1, 32, 32)
        assert found.prediction.shape == (12, 1, 32, 32)
        assert (found.truth is not None) == known
        animation, errors, curve = show(found, "runs/some/checkpoints/best.ckpt")
        assert "data:image/gif;base64," in animation
        assert ("data:image/png;base64," in curve) == known
        assert ("copy last" in errors) == known
    for given, message in (((EXAMPLE, 99, None, None), "no test sequence 99"),
                           ((CLIP, 0, None, None), "upload a clip first")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            predicted(run, *given, 12)


def test_a_page_of_no_checkpoint_is_refused(tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed (extra demo)")
    with pytest.raises(FileNotFoundError, match=r"gone\.ckpt"):
        build_page(command_cfg("demo", "ckpt_path=gone.ckpt"))


@pytest.mark.slow  # a browser and a server
def test_the_page_in_a_browser(tiny_cfg, tmp_path, browser, monkeypatch):
    pytest.importorskip("gradio", reason="gradio is not installed (extra demo)")
    from selenium.webdriver.common.by import By

    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    train(tiny_cfg(*NET, "data.height=64"))
    page = build_page(command_cfg("demo", f"runs={tmp_path}"))
    address = serve(page, prevent_thread_lock=True, server_name="127.0.0.1")
    try:
        browser.get(address)
        seen = _until(lambda: _shown(browser, By, None))  # predicted on load
        clip = browser.find_element(By.CSS_SELECTOR, "#clip input[type=file]")
        clip.send_keys(str(CARPHONE))
        _until(lambda: "carphone" in browser.find_element(By.ID, "clip").text)
        browser.find_elements(By.CSS_SELECTOR, "#source label")[2].click()
        other = _animation(browser, By, seen)
        assert other != seen
        picture = tmp_path / "page.png"
        assert browser.save_screenshot(str(picture))
        assert "copy last" in browser.page_source
    finally:
        page.close()


def _animation(browser, by, before):
    browser.find_element(by.ID, "predict").click()
    return _until(lambda: _shown(browser, by, before))


def _shown(browser, by, before) -> str | None:
    found = browser.find_elements(by.CSS_SELECTOR, "#animation img")
    source = found[0].get_attribute("src") if found else None
    return source if source and source != before else None


def _until(condition, seconds: float = 240.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError("the page did not answer in time")
