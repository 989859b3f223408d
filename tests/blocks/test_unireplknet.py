"""UniRepLKNet against the reference code, also merged."""

import pytest
import torch

from predcnn.blocks.unireplknet import UniRepLKNetBlock
from predcnn.translators.meta import MetaTranslator
from tests.ops.reference import assert_near, loaded, reference


@pytest.mark.parametrize("kernel_size", [3, 13])
def test_values_match_the_reference_code_also_merged(kernel_size):
    name = f"unireplk_block_k{kernel_size}"
    values, block = reference(name), loaded(UniRepLKNetBlock(8, kernel_size=kernel_size), name)
    with torch.no_grad():
        assert_near(block(values["input"]), values["output"])
        block.merge_()
        assert_near(block(values["input"]), values["output"])


def test_merged_parameters_match_the_reference_code():
    values = reference("unireplk_block_k3")
    block = loaded(UniRepLKNetBlock(8, kernel_size=3), "unireplk_block_k3")
    block.merge_()
    published = {k.removeprefix("deploy."): v for k, v in values.items() if k.startswith("deploy.")}
    merged = block.state_dict()
    assert merged.keys() == published.keys()
    for key, value in published.items():
        assert_near(merged[key], value)


def test_merging_parts_first_gives_the_same():
    block = loaded(UniRepLKNetBlock(8, kernel_size=13), "unireplk_block_k13")
    values = reference("unireplk_block_k13")
    with torch.no_grad():
        block.dwconv.merge_()
        assert_near(block(values["input"]), values["output"])
        block.merge_()
        assert_near(block(values["input"]), values["output"])


def test_large_and_small_kernels_alternate_in_a_stack():
    stack = MetaTranslator(8, 8, 4, blocks="unireplknet", resolution=(4, 4), mlp_ratio=2.0)
    large = [hasattr(stage.block.dwconv, "lk_origin") for stage in stack.stages]
    assert large == [True, False, True, False]
    same = MetaTranslator(
        8, 8, 3, blocks="unireplknet", resolution=(4, 4), options={"kernel_size": 7}
    )
    assert all(stage.block.dwconv.lk_origin.kernel_size == (7, 7) for stage in same.stages)
