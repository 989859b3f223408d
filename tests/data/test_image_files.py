"""Images for the analysis of networks."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from predcnn.data.images.image_files import find_images, photographs, read_images


def test_photographs_are_central_squares_and_then_corners():
    images, names = photographs(6, 64)
    assert images.shape == (6, 3, 64, 64)
    assert names == ["chelsea", "coffee", "rocket", "astronaut", "chelsea 1", "coffee 1"]
    whole, _ = photographs(4, 512)
    astronaut = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1) / 255
    torch.testing.assert_close(whole[3], astronaut)
    corner, _ = photographs(20, 384)
    torch.testing.assert_close(corner[7], astronaut[:, :384, :384])
    torch.testing.assert_close(corner[19], astronaut[:, 128:, 128:])
    with pytest.raises(ValueError, match="1 to 20 photographs"):
        photographs(21, 8)


def test_files_are_read_as_rgb_squares_in_order(tmp_path):
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.full((10, 30), 51, np.uint8)).save(tmp_path / "b.png")
    Image.fromarray(np.full((8, 8, 4), 255, np.uint8)).save(tmp_path / "deep" / "a.PNG")
    (tmp_path / "notes.txt").write_text("not an image")
    paths = find_images(tmp_path)
    assert [path.name for path in paths] == ["b.png", "a.PNG"]
    images = read_images(paths, 5)
    torch.testing.assert_close(images[0], torch.full((3, 5, 5), 0.2))
    (tmp_path / "broken.png").write_text("x")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read"):
        read_images([tmp_path / "broken.png"], 5)
    with pytest.raises(FileNotFoundError, match="has no images"):
        find_images(tmp_path / "nowhere")
