"""SLaK against the reference code."""

import torch

from predcnn.blocks.slak import SLaKBlock
from tests.ops.reference import assert_near, loaded, reference


def test_values_match_the_reference_code_also_merged():
    values = reference("slak_block")
    block = loaded(SLaKBlock(8, kernel_size=13), "slak_block")
    with torch.no_grad():
        assert_near(block(values["input"]), values["output"])
        block.large_kernel.merge_()
        assert_near(block(values["input"]), values["output"])
