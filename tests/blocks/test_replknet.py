"""RepLKNet's two parts against the reference code, before and after merging."""

import pytest
import torch
from torch import nn

from predcnn.blocks.replknet import RepLKNetBlock
from tests.ops.reference import assert_near, loaded, reference


@pytest.mark.parametrize(
    ("make", "name", "convolutions"),
    [
        (lambda: RepLKNetBlock(8, kernel_size=13).mixer, "replk_block", 3),
        (lambda: RepLKNetBlock(8).ffn, "replk_convffn", 2),
    ],
)
def test_values_match_the_reference_code_also_merged(make, name, convolutions):
    values, part = reference(name), loaded(make(), name)
    with torch.no_grad():
        assert_near(part(values["input"]), values["output"])
        part.merge_()
        assert_near(part(values["input"]), values["output"])
    assert sum(isinstance(m, nn.Conv2d) for m in part.modules()) == convolutions
    assert not any(isinstance(m, nn.BatchNorm2d) for m in part.modules())


def test_block_is_the_sequence_of_both_parts():
    block = RepLKNetBlock(8, kernel_size=13, dw_ratio=1.5, mlp_ratio=2.0).eval()
    assert block.mixer.large_kernel.lkb_origin.conv.weight.shape == (12, 1, 13, 13)
    x = torch.randn(1, 8, 9, 9)
    assert torch.equal(block(x), block.ffn(block.mixer(x)))
    assert RepLKNetBlock(8, kernel_size=7, small_kernel=None).mixer.large_kernel.small_conv is None
