"""Depthwise convolution: all fast paths match the reference, and when each is used."""

import pytest
import torch
from torch.nn import functional

from predcnn.ops import depthwise, plain
from predcnn.ops.depthwise import (
    DepthwiseConv2d,
    depthwise_conv2d,
    fast_length,
    pixel_pitch,
    weight_gradient,
)
from tests.ops.reference import assert_near


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (11, 11), (31, 31), (51, 5), (5, 51)])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 3, 2, 23), (3, 3, 1, 1)])
def test_weight_gradient_matches_torch(size, shape):
    x, grad = torch.randn(shape), torch.randn(shape)
    weight = torch.zeros(3, 1, *size, requires_grad=True)
    padding = (size[0] // 2, size[1] // 2)
    functional.conv2d(x, weight, padding=padding, groups=3).backward(grad)
    assert_near(weight_gradient(x, grad, size), weight.grad)


def gradients(x, weight, bias, dilation):
    """Result and gradients of its product with fixed random numbers."""
    leaves = [None if t is None else t.detach().requires_grad_() for t in (x, weight, bias)]
    out = depthwise_conv2d(*leaves, dilation)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    wanted = [leaf for leaf in leaves if leaf is not None]
    return out, *torch.autograd.grad(out, wanted, direction.to(out.dtype))


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("shape", "size", "dilation"),
    [
        ((2, 20, 16, 16), (3, 3), 1),
        ((2, 20, 16, 16), (5, 5), 2),
        ((1, 33, 17, 13), (7, 7), 3),
        ((3, 8, 9, 30), (11, 11), 1),
        ((2, 5, 6, 7), (21, 21), 1),
        ((2, 17, 12, 12), (1, 11), 1),
        ((2, 17, 12, 12), (31, 5), 1),
        ((2, 3, 1, 1), (7, 7), 3),
        ((1, 16, 2, 40), (3, 3), 5),
    ],
)
def test_result_and_gradients_match_the_reference(shape, size, dilation, memory_format):
    x = torch.randn(shape).to(memory_format=memory_format)
    weight, bias = torch.randn(shape[1], 1, *size), torch.randn(shape[1])
    for given in (bias, None):
        got = gradients(x, weight, given, dilation)
        with plain():
            expected = gradients(x, weight, given, dilation)
        for one, other in zip(got, expected, strict=True):
            assert_near(one, other)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize(("size", "dilation"), [(11, 1), (3, 3), (3, 2)])
def test_gradients_match_finite_differences(size, dilation):
    x = torch.randn(2, 9, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 1, size, size, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(9, dtype=torch.float64, requires_grad=True)

    def convolved(*leaves):
        return depthwise_conv2d(*leaves, dilation)

    assert torch.autograd.gradcheck(convolved, (x, weight, bias), fast_mode=True)


@pytest.mark.usefixtures("kernels")
def test_a_slice_of_channels_is_read_in_place():
    maps = torch.randn(2, 24, 5, 6).to(memory_format=torch.channels_last)
    for part in maps.split([4, 11, 9], dim=1):
        assert pixel_pitch(part) == 24
        weight = torch.randn(part.shape[1], 1, 3, 3)
        got = gradients(part, weight, None, 1)
        with plain():
            expected = gradients(part.contiguous(), weight, None, 1)
        for one, other in zip(got, expected, strict=True):
            assert_near(one, other)
    assert pixel_pitch(torch.randn(2, 3, 5, 6)) is None
    assert pixel_pitch(maps[:, :, :3]) is None
    assert pixel_pitch(maps.expand(2, 24, 5, 6)[:1].expand(3, -1, -1, -1)) is None


@pytest.mark.usefixtures("kernels")
def test_kernels_are_independent_of_the_number_of_threads():
    x, weight = torch.randn(3, 40, 12, 12), torch.randn(40, 1, 5, 5)
    alone = gradients(x, weight, None, 1)
    torch.set_num_threads(2)
    try:
        together = gradients(x, weight, None, 1)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_module_matches_conv2d_and_its_keys():
    module = DepthwiseConv2d(6, (3, 5), dilation=2)
    usual = torch.nn.Conv2d(6, 6, (3, 5), padding=(2, 4), dilation=2, groups=6)
    usual.load_state_dict(module.state_dict())
    x = torch.randn(2, 6, 7, 9)
    torch.testing.assert_close(module(x), usual(x))
    assert str(module).replace("Depthwise", "") == str(usual)
    with pytest.raises(ValueError, match=r"odd sides, not \(4, 4\)"):
        DepthwiseConv2d(6, 4)


@pytest.mark.usefixtures("no_kernels")
def test_without_kernels_fft_is_used_for_large_learned_kernels_in_full_precision(monkeypatch):
    used = []
    apply = depthwise._ByFFT.apply
    monkeypatch.setattr(
        depthwise._ByFFT, "apply", lambda *a: (used.append(a[1].shape[-1]), apply(*a))[1]
    )
    x = torch.randn(1, 2, 6, 6)
    for size in (3, 9, 11, 13):
        depthwise_conv2d(x, torch.randn(2, 1, size, size, requires_grad=True))
        depthwise_conv2d(x, torch.randn(2, 1, size, size))
    weight = torch.randn(2, 1, 13, 13, requires_grad=True)  # half precision up to here
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x, weight)
    with torch.no_grad():
        depthwise_conv2d(x, weight)
    assert used == [11, 13]


def test_fast_lengths_have_small_factors():
    assert [fast_length(n) for n in (1, 7, 31, 32, 61, 97)] == [1, 8, 32, 32, 64, 100]


@pytest.mark.parametrize("kernel", [(5, 51), (21, 21), (13, 13)])
def test_wide_kernels_work_in_half_precision(kernel):
    layer, x = DepthwiseConv2d(12, kernel), torch.rand(2, 12, 64, 64)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(x)
    assert (rough.float() - exact).norm() <= 0.02 * exact.norm()
