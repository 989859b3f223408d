"""Depthwise convolution with large kernels: exact gradients by FFT, and when it is taken."""

import pytest
import torch
from torch.nn import functional

from predcnn.ops import depthwise
from predcnn.ops.depthwise import depthwise_conv2d, fast_length, weight_gradient
from tests.ops.reference import assert_near


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (11, 11), (31, 31), (51, 5), (5, 51)])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 3, 2, 23), (3, 3, 1, 1)])
def test_weight_gradient_is_that_of_torch(size, shape):
    x, grad = torch.randn(shape), torch.randn(shape)
    weight = torch.zeros(3, 1, *size, requires_grad=True)
    padding = (size[0] // 2, size[1] // 2)
    functional.conv2d(x, weight, padding=padding, groups=3).backward(grad)
    assert_near(weight_gradient(x, grad, size), weight.grad)


def test_finite_differences_agree():
    x = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 11, 11, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert weight[0].numel() > depthwise.FFT_AREA
    assert torch.autograd.gradcheck(depthwise_conv2d, (x, weight, bias))


def test_the_fast_way_is_for_large_learning_kernels_in_full_precision(monkeypatch):
    taken = []
    apply = depthwise._DepthwiseByFFT.apply
    monkeypatch.setattr(
        depthwise._DepthwiseByFFT, "apply", lambda *a: (taken.append(a[1].shape[-1]), apply(*a))[1]
    )
    x = torch.randn(1, 2, 6, 6)
    for size in (3, 9, 11, 13):
        depthwise_conv2d(x, torch.randn(2, 1, size, size, requires_grad=True))
        depthwise_conv2d(x, torch.randn(2, 1, size, size))
    weight = torch.randn(2, 1, 15, 15, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x, weight)
    with torch.no_grad():
        depthwise_conv2d(x, weight)
    assert taken == [11, 13]


def test_lengths_are_the_next_with_small_factors():
    assert [fast_length(n) for n in (1, 7, 31, 32, 61, 97)] == [1, 8, 32, 32, 64, 100]
