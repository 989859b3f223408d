"""Deformable sampling against the reference code and a loop over pixels and taps."""

import itertools
import math

import pytest
import torch

from predcnn.blocks.dcnv4 import packed_channels, unpack_offset_mask
from predcnn.ops.deform import deformable_sampling, kernel_points
from tests.ops.reference import assert_near, config, reference


def options(name):
    raw = config(name)
    return {
        "kernel_size": raw["kh"],
        "groups": raw["G"],
        "offset_scale": raw["os"],
        "remove_center": bool(raw["rc"]),
    }


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("name", ["dcnv3_core_0", "dcnv3_core_1", "dcnv3_core_2"])
def test_values_and_gradients_match_the_reference_code(name):
    """A stride skips pixels of the result; a dilation is a constant offset of every tap."""
    values, settings, raw = reference(name), options(name), config(name)
    x, offset, mask = (values[k].requires_grad_() for k in ("input", "offset", "mask"))
    taps = kernel_points(raw["kh"], remove_center=bool(raw["rc"]), device=torch.device("cpu"))
    dilated = offset + ((raw["d"] - 1) * taps).flatten().repeat(raw["G"])
    every = (slice(None), slice(None, None, raw["s"]), slice(None, None, raw["s"]))
    full = []
    for given in (dilated, mask):
        full.append(torch.zeros(*x.shape[:3], given.shape[-1]))
        full[-1][every] = given
    y = deformable_sampling(x, *full, **settings)[every]
    assert_near(y, values["output"])
    y.backward(values["grad_out"])
    for key, tensor in {"input": x, "offset": offset, "mask": mask}.items():
        assert_near(tensor.grad, values[f"grad_{key}"])


@pytest.mark.usefixtures("either_kernels")
def test_packed_values_and_gradients_match_the_reference_code():
    values = reference("dcnv4_core_0")
    x, packed = values["input"].requires_grad_(), values["offset_mask"].requires_grad_()
    settings = options("dcnv4_core_0")
    y = deformable_sampling(x, *unpack_offset_mask(packed, settings["groups"], 9), **settings)
    assert_near(y, values["output"])
    y.backward(values["grad_out"])
    assert_near(x.grad, values["grad_input"])
    assert_near(packed.grad, values["grad_offset_mask"])


@pytest.mark.usefixtures("kernels")
def test_gradients_match_finite_differences():
    shapes = ((2, 4, 3, 6), (2, 4, 3, 2 * 9 * 2), (2, 4, 3, 2 * 9))
    leaves = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *given: deformable_sampling(*given, groups=2), leaves)


def bilinear(plane, x, y):
    """Value of a list of rows at real coordinates, zero outside."""
    total = 0.0
    left, top = math.floor(x), math.floor(y)
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < len(plane) and 0 <= column < len(plane[0]):
            total += plane[row][column] * (1 - abs(x - column)) * (1 - abs(y - row))
    return total


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize(
    ("kernel", "groups", "remove_center", "scale"),
    [(5, 2, False, 1.0), (3, 4, True, 0.5), (1, 1, False, 2.0)],
)
def test_it_is_the_sum_over_taps_column_by_column(kernel, groups, remove_center, scale):
    half = kernel // 2
    taps = list(itertools.product(range(-half, half + 1), repeat=2))  # columns outermost
    if remove_center:
        taps.remove((0, 0))
    x = torch.randn(2, 7, 6, 8)
    offset = torch.randn(2, 7, 6, groups * len(taps) * 2)
    mask = torch.randn(2, 7, 6, groups * len(taps))
    settings = {"groups": groups, "offset_scale": scale, "remove_center": remove_center}
    got = deformable_sampling(x, offset, mask, kernel_size=kernel, **settings)
    for row, column, channel in itertools.product(range(7), range(6), range(8)):
        group = channel // (8 // groups)
        plane = x[1, :, :, channel].tolist()
        total = 0.0
        for point, (a, b) in enumerate(taps):
            place = group * len(taps) + point
            dx, dy = offset[1, row, column, 2 * place : 2 * place + 2].tolist()
            sample = bilinear(plane, column + (a + dx) * scale, row + (b + dy) * scale)
            total += mask[1, row, column, place].item() * sample
        assert got[1, row, column, channel].item() == pytest.approx(total, abs=2e-5)


def test_taps_are_pairs_of_x_and_y_column_by_column():
    points = kernel_points(3, remove_center=True, device=torch.device("cpu")).tolist()
    assert points == [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 0], [1, 1]]


@pytest.mark.usefixtures("either_kernels")
def test_without_offsets_it_is_a_convolution():
    x, weight = torch.randn(1, 6, 5, 4), torch.randn(9)
    shape = (1, 6, 5)
    mask = weight.view(3, 3).t().flatten().expand(*shape, 9)
    y = deformable_sampling(x, torch.zeros(*shape, 18), mask)
    kernel = weight.view(1, 1, 3, 3).expand(4, 1, 3, 3)
    expected = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), kernel, padding=1, groups=4)
    assert_near(y, expected.permute(0, 2, 3, 1))


def test_packing_keeps_the_order_and_ignores_the_tail():
    assert packed_channels(2, 9) == 56
    packed = torch.arange(56.0)
    offset, mask = unpack_offset_mask(packed, 2, 9)
    assert offset.tolist() == [*range(18), *range(27, 45)]
    assert mask.tolist() == [*range(18, 27), *range(45, 54)]


def test_wrong_shapes_raise():
    x, offset, mask = torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 4, 36), torch.zeros(1, 4, 4, 18)
    with pytest.raises(ValueError, match="6 channels do not divide into 4"):
        deformable_sampling(x, offset, mask, groups=4)
    with pytest.raises(ValueError, match="mask has shape"):
        deformable_sampling(x, offset, mask[..., :9], groups=2)
