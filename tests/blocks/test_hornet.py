"""HorNet's recursive gated convolution against the reference code."""

import pytest
import torch

from predcnn.blocks.hornet import GlobalLocalFilter, RecursiveGatedConv
from tests.ops.reference import assert_near, loaded, reference


@pytest.mark.parametrize("order", [2, 4, 5])
def test_values_match_the_reference_code(order):
    name = f"gnconv_order{order}"
    values = reference(name)
    module = loaded(RecursiveGatedConv(32, order, 1 / 3), name)
    assert_near(module(values["input"]), values["output"])


def test_values_with_the_global_filter_match_the_reference_code():
    values = reference("gnconv_gf_0")
    module = loaded(RecursiveGatedConv(16, 3, 1 / 3, global_filter=(8, 5)), "gnconv_gf_0")
    assert_near(module(values["input"]), values["output"])


def test_a_spectrum_of_another_size_is_resized():
    filter_ = GlobalLocalFilter(4, (6, 4)).eval()
    with torch.no_grad():
        filter_.complex_weight.zero_()
        filter_.complex_weight[..., 0] = 1.0  # passes every frequency: any size is the identity
    x = torch.randn(2, 4, 5, 9)
    same = torch.randn(2, 2, 5, 9)
    assert_near(filter_._filter(same), same)
    assert filter_(x).shape == x.shape


def test_invalid_sizes_raise():
    with pytest.raises(ValueError, match="order 2 or more"):
        RecursiveGatedConv(8, 1, 1.0)
    with pytest.raises(ValueError, match="divisible by 16"):
        RecursiveGatedConv(24, 5, 1.0)
    with pytest.raises(ValueError, match="divisible by 2"):
        GlobalLocalFilter(7, (4, 3))
