"""ConvNeXt V2 against the reference code."""

from predcnn.blocks.convnextv2 import ConvNeXtV2Block
from tests.ops.reference import assert_near, loaded, reference


def test_values_match_the_reference_code():
    values = reference("convnextv2_block")
    block = loaded(ConvNeXtV2Block(8), "convnextv2_block")
    assert_near(block(values["input"]), values["output"])


def test_kernel_size_is_an_option():
    assert ConvNeXtV2Block(8, kernel_size=5).dwconv.kernel_size == (5, 5)
