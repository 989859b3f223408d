"""Masks: number and choice of cells, wrong options."""

import pytest
import torch

from predcnn.pretraining.masks import MaskGenerator, at_size


@pytest.mark.parametrize(
    ("size", "cell", "ratio", "rounding", "hidden"),
    [
        (224, 32, 0.6, "up", 30),  # SimMIM ceil(29.4), FCMAE 49 - int(19.6)
        (224, 32, 0.6, "nearest", 29),  # SparK 49 - round(19.6)
        (160, 32, 0.6, "up", 15),  # 25 * 0.6 is exact
        (320, 32, 0.07, "up", 7),  # 100 * 0.07 = 7.000000000000001
        (64, 32, 0.9, "up", 3),  # one stays visible
        (64, 32, 0.1, "nearest", 1),
    ],
)
def test_every_image_hides_the_same_number_of_cells(size, cell, ratio, rounding, hidden):
    masks = MaskGenerator(size, cell, ratio, rounding)(8)
    assert masks.shape == (8, size // cell, size // cell)
    assert masks.dtype == torch.bool
    assert masks.sum((1, 2)).tolist() == [hidden] * 8


def test_all_cells_are_hidden_equally_often():
    share = MaskGenerator(64, 16, 0.6)(4000, torch.Generator().manual_seed(1)).float().mean(0)
    assert ((share - 10 / 16).abs() < 0.03).all()


def test_equal_generators_draw_equal_masks():
    make = MaskGenerator(64, 16)
    one, two = (make(4, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, make(4))


def test_cells_become_rectangles():
    mask = torch.tensor([[[True, False], [False, True]]])
    big = at_size(mask, (4, 6))
    assert big.shape == (1, 1, 4, 6)
    assert big[0, 0, :2, :3].all()
    assert big[0, 0, 2:, 3:].all()
    assert big.sum() == 12


def test_a_map_coarser_than_the_cells_raises():
    with pytest.raises(ValueError, match="make the cells larger"):
        at_size(torch.zeros(1, 4, 4, dtype=torch.bool), (2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 60}, "cannot be cut into cells of 32"),
        ({"image_size": 32}, "two cells at least"),
        ({"image_size": 64, "ratio": 1.0}, "between 0 and 1"),
        ({"image_size": 64, "rounding": "down"}, "'up' or 'nearest', not 'down'"),
    ],
)
def test_wrong_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        MaskGenerator(**options)
