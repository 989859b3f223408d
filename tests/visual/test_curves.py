"""The figure holds the lines it is asked for, and matplotlib's global state is left alone."""

import ast
import re
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

import predcnn.visual
from predcnn.visual import plot_curves

HISTORY = {
    "train/loss": (list(range(200)), list(np.linspace(1, 0.01, 200))),
    "val/loss": ([99, 199], [0.5, 0.1]),
    "val/mse": ([99, 199], [50.0, 10.0]),
}
PER_FRAME = {
    "moganet": {"mse": [10.0, 20.0, 30.0], "ssim": [0.9, 0.8, 0.7], "psnr": [None, 20.0, 19.0]},
    "copy last": {"mse": [50.0, 60.0, 70.0], "ssim": [0.5, 0.4, 0.3], "psnr": [9.0, 8.0, 7.0]},
}


@pytest.fixture
def figures(monkeypatch):
    """Figures at the moment they are saved."""
    saved = []
    original = matplotlib.figure.Figure.savefig

    def savefig(self, *args, **kwargs):
        saved.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return saved


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines() if line.get_label()[0] != "_"}


def test_draws_loss_and_both_metrics(tmp_path, figures):
    plot_curves(tmp_path / "curves.png", HISTORY, PER_FRAME)
    loss, mse, ssim = figures[0].axes
    assert set(lines(loss)) == {"training", "validation"}
    np.testing.assert_array_equal(lines(loss)["validation"].get_ydata(), [0.5, 0.1])
    assert loss.get_yscale() == "log"
    for ax, metric in ((mse, "mse"), (ssim, "ssim")):
        for name, curves in PER_FRAME.items():
            np.testing.assert_array_equal(lines(ax)[name].get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(lines(ax)[name].get_ydata(), curves[metric])
    assert lines(mse)["copy last"].get_linestyle() == "--"
    assert lines(mse)["moganet"].get_color() != lines(mse)["copy last"].get_color()
    width, height = Image.open(tmp_path / "curves.png").size
    assert width > 2 * height


def test_smoothed_course_is_a_mean_in_the_middle(tmp_path, figures):
    plot_curves(tmp_path / "curves.png", HISTORY, {})
    (ax,) = figures[0].axes
    course = lines(ax)["training"]
    expected = np.interp(course.get_xdata(), *HISTORY["train/loss"])
    np.testing.assert_allclose(course.get_ydata(), expected, atol=0.003)


def test_gaps_and_chosen_metrics(tmp_path, figures):
    plot_curves(tmp_path / "curves.svg", {}, PER_FRAME, metrics=("psnr", "lpips"))
    (ax,) = figures[0].axes
    values = lines(ax)["moganet"].get_ydata()
    np.testing.assert_array_equal(np.isnan(values), [True, False, False])
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_curves(tmp_path / "curves.png", {"lr": ([1], [1.0])}, {"a": {"psnr": [1.0]}})
    assert list(tmp_path.iterdir()) == []


def test_heavy_imports_wait_and_pyplot_is_never_used():
    for path in Path(predcnn.visual.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not re.search(
            r"(import|from) (matplotlib|cv2)", " ".join(ast.unparse(node) for node in top)
        ), path
        assert "pyplot" not in path.read_text(encoding="utf-8"), path
