"""Grids that show images in several forms."""

import numpy as np
import pytest
import torch
from PIL import Image

from predcnn.visual import write_grid


def test_every_form_has_its_column(tmp_path):
    shades = {"black": 0.0, "grey": 0.5, "white": 1.0}
    columns = {name: torch.full((4, 3, 96, 96), value) for name, value in shades.items()}
    write_grid(tmp_path / "grid.png", columns, "three forms")
    with Image.open(tmp_path / "grid.png") as picture:
        pixels = np.asarray(picture)
    row = pixels[-40]  # the second row holds the fourth image alone
    runs = [int((row == value).all(1).sum()) for value in (0, 128)]
    assert runs == [96, 96]
    assert pixels.shape[1] > 9 * 96


def test_wrong_columns_are_errors(tmp_path):
    images = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="columns is empty"):
        write_grid(tmp_path / "grid.png", {})
    with pytest.raises(ValueError, match="different shapes"):
        write_grid(tmp_path / "grid.png", {"a": images, "b": images[:1]})
    assert not list(tmp_path.iterdir())
