"""Rows of images and heat maps, and line diagrams of several networks."""

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from predcnn.visual import Panel, plot_lines, plot_panels
from tests.visual.test_curves import figures  # noqa: F401  a fixture


def test_panels_are_drawn_in_rows_with_the_map_over_the_image(tmp_path, figures):  # noqa: F811
    image, heat = np.zeros((4, 6, 3)), np.ones((2, 3))
    rows = [
        [Panel(image, heat, "a"), Panel(heat=heat)],
        [Panel(image), Panel(heat=heat, title="d")],
    ]
    ticks = {0: "0.001", 1: "1"}
    plot_panels(tmp_path / "p.png", rows, ["one", "two"], "all", bar="heat", ticks=ticks)
    (figure,) = figures
    *cells, bar = figure.axes
    assert [len(ax.images) for ax in cells] == [2, 1, 1, 1]
    assert [ax.get_title() for ax in cells] == ["a", "", "", "d"]
    assert [ax.get_ylabel() for ax in cells] == ["one", "", "two", ""]
    over = cells[0].images[1]
    assert list(over.get_extent()) == [-0.5, 5.5, 3.5, -0.5]
    assert (over.norm.vmin, over.norm.vmax) == (0, 1)
    assert (bar.get_ylabel(), bar.get_ylim()) == ("heat", (0, 1))
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0.001", "1"]


@pytest.mark.parametrize("columns", [1, 2, 12])
def test_figures_are_wide_enough_and_their_text_is_readable(tmp_path, figures, columns):  # noqa: F811
    plot_panels(tmp_path / "p.png", [[Panel(heat=np.ones((2, 2)), title="title")] * columns])
    plot_lines(tmp_path / "l.png", {f"d{i}": {"a": ([0], [1.0])} for i in range(columns)}, "x")
    assert all(Image.open(path).width >= 1200 for path in tmp_path.iterdir())
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= 9


def test_images_without_heat_have_no_colour_bar(tmp_path, figures):  # noqa: F811
    plot_panels(tmp_path / "p.svg", [[Panel(np.zeros((4, 4)))]])
    assert len(figures[0].axes) == 1
    assert "<svg" in (tmp_path / "p.svg").read_text()


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
