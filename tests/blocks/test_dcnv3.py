"""InternImage's deformable convolution, and the norms of its block."""

import pytest
import torch
from torch import nn

from predcnn.blocks.dcnv3 import DCNv3, DCNv3Block, Sampling
from tests.ops.reference import assert_near, loaded, reference


def test_values_match_the_reference_code():
    values = reference("dcnv3_module")
    module = DCNv3(16, Sampling(groups=2, dw_kernel_size=5), center_feature_scale=True)
    assert_near(loaded(module, "dcnv3_module")(values["input"]), values["output"])


def randomised(**options):
    block = DCNv3Block(32, mlp_ratio=2.0, **options).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    return block, torch.randn(1, 32, 5, 6)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def test_norms_before_after_and_on_both_sides():
    block, x = randomised()
    y = channels_last(x)
    y = y + block.dcn(block.norm1(y))
    assert_near(channels_last(block(x)), y + block.mlp(block.norm2(y)))

    block, x = randomised(post_norm=True, layer_scale=1e-5)
    y = channels_last(x)
    y = y + block.gamma1 * block.norm1(block.dcn(y))
    assert_near(channels_last(block(x)), y + block.gamma2 * block.norm2(block.mlp(y)))

    block, x = randomised(res_post_norm=True)
    y = channels_last(x)
    y = y + block.res_post_norm1(block.dcn(block.norm1(y)))
    y = y + block.res_post_norm2(block.mlp(block.norm2(y)))
    assert_near(channels_last(block(x)), y)


def test_keys_match_the_reference_code():
    block, _ = randomised(
        post_norm=True,
        layer_scale=1e-5,
        offset_scale=2.0,
        center_feature_scale=True,
        dw_kernel_size=5,
        remove_center=True,
        groups=2,
    )
    keys = {k: tuple(v.shape) for k, v in block.state_dict().items()}
    assert keys["norm1.0.weight"] == keys["gamma1"] == (32,)
    assert keys["dcn.dw_conv.0.weight"] == (32, 1, 5, 5)
    assert keys["dcn.dw_conv.1.1.weight"] == (32,)
    assert keys["dcn.offset.weight"] == (2 * 2 * 8, 32)
    assert keys["dcn.center_feature_scale_proj_weight"] == (2, 32)


def test_starts_as_an_average_of_the_neighbours():
    dcn = DCNv3(16, Sampling(groups=1, dw_kernel_size=3))
    nn.init.eye_(dcn.input_proj.weight)
    nn.init.eye_(dcn.output_proj.weight)
    x = torch.randn(1, 4, 4, 16)
    expected = nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), 3, 1, 1)
    assert_near(dcn(x), channels_last(expected))


def test_invalid_options_raise():
    with pytest.raises(ValueError, match="divisible by 16"):
        DCNv3Block(24)
    with pytest.raises(ValueError, match="divisible by 5"):
        DCNv3Block(32, groups=5)
    with pytest.raises(ValueError, match="exclude each other"):
        DCNv3Block(32, post_norm=True, res_post_norm=True)
