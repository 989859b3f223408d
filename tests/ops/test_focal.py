"""Focal modulation against the published code and a plain sum."""

import pytest
import torch
from torch.nn import functional

from predcnn.ops.focal import FocalModulation
from tests.ops.reference import assert_near, loaded, reference


def test_published_values():
    values = reference("focal_modulation_0")
    module = loaded(FocalModulation(8, levels=2, window=3), "focal_modulation_0")
    assert_near(module(values["input"]), values["output"])


def test_levels_look_through_growing_kernels():
    module = FocalModulation(4, levels=3, window=3)
    x = torch.randn(2, 6, 5, 4)
    joint = module.f(x).permute(0, 3, 1, 2)
    query, context, gates = joint[:, :4], joint[:, 4:8], joint[:, 8:]
    total = torch.zeros_like(context)
    for level, kernel in enumerate((3, 5, 7)):
        conv = module.focal_layers[level][0]
        assert conv.kernel_size == (kernel, kernel)
        context = functional.gelu(conv(context))
        total += context * gates[:, level, None]
    total += functional.gelu(context.mean((2, 3), keepdim=True)) * gates[:, 3, None]
    y = (query * module.h(total)).permute(0, 2, 3, 1)
    assert_near(module(x), module.proj(y))


def test_kernels_have_a_centre():
    with pytest.raises(ValueError, match=r"odd sides, not \(4, 4\)"):
        FocalModulation(8, window=4)
