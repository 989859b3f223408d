"""Rows of pictures and maps, and lines of several networks: what is asked for is drawn."""

import numpy as np
import pytest
from PIL import Image

from predcnn.visual import Panel, plot_lines, plot_panels
from tests.visual.test_curves import figures  # noqa: F401  a fixture


def test_panels_stand_in_their_rows_with_the_map_over_the_image(tmp_path, figures):  # noqa: F811
    image, heat = np.zeros((4, 6, 3)), np.ones((2, 3))
    rows = [
        [Panel(image, heat, "a"), Panel(heat=heat)],
        [Panel(image), Panel(heat=heat, title="d")],
    ]
    plot_panels(tmp_path / "p.png", rows, ["one", "two"], "all")
    (figure,) = figures
    assert [len(ax.images) for ax in figure.axes] == [2, 1, 1, 1]
    assert [ax.get_title() for ax in figure.axes] == ["a", "", "", "d"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["one", "", "two", ""]
    over = figure.axes[0].images[1]
    assert list(over.get_extent()) == [-0.5, 5.5, 3.5, -0.5]
    assert (over.norm.vmin, over.norm.vmax) == (0, 1)
    assert Image.open(tmp_path / "p.png").width > 100


@pytest.mark.parametrize(
    ("rows", "labels"),
    [([], ()), ([[]], ()), ([[Panel()], [Panel()] * 2], ()), ([[Panel()]], "ab")],
)
def test_ragged_rows_are_refused(tmp_path, rows, labels):
    with pytest.raises(ValueError, match="rows of one length"):
        plot_panels(tmp_path / "p.png", rows, labels)
    assert not list(tmp_path.iterdir())


def test_a_name_keeps_its_colour_in_every_diagram(tmp_path, figures):  # noqa: F811
    line = ([0, 1], [1.0, 2.0])
    diagrams = {"left": {"a": line, "b": line}, "right": {"b": line}}
    plot_lines(tmp_path / "l.png", diagrams, "order", y_label="J", logarithmic=True)
    left, right = figures[0].axes
    assert (left.get_xlabel(), left.get_ylabel(), left.get_yscale()) == ("order", "J", "log")
    assert left.lines[1].get_color() == right.lines[0].get_color() != left.lines[0].get_color()
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_lines(tmp_path / "n.png", {}, "order")
