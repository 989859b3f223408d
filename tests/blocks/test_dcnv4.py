"""FlashInternImage's deformable convolution: packed weights, not normalised."""

import torch
from torch import nn

from predcnn.blocks.dcnv3 import Sampling
from predcnn.blocks.dcnv4 import DCNv4, DCNv4Block
from tests.ops.reference import assert_near, reference


def test_values_match_the_reference_code():
    values = reference("dcnv4_core_0")
    module = DCNv4(32, Sampling(groups=2))
    nn.init.eye_(module.value_proj.weight)
    nn.init.eye_(module.output_proj.weight)
    module.offset_mask.forward = lambda x: values["offset_mask"]
    assert_near(module(values["input"]), values["output"])


def test_weights_are_not_normalised():
    module = DCNv4(16, Sampling(groups=1))
    nn.init.ones_(module.offset_mask.bias.data[18:27])
    x = torch.randn(1, 4, 4, 16)
    once = module(x)
    module.offset_mask.bias.data[18:27] *= 3
    assert_near(module(x), 3 * once)


def test_biases_and_keys_of_the_published_sizes():
    small = set(DCNv4Block(16).state_dict())
    assert not small & {"dcn.output_proj.bias", "mlp.fc2.bias", "dcn.offset_mask_dw.weight"}
    assert {"dcn.offset_mask.weight", "dcn.value_proj.bias", "norm2.0.weight"} <= small
    large = DCNv4Block(16, bias=True, dw_kernel_size=3, layer_scale=1e-5, post_norm=True)
    extra = {"dcn.output_proj.bias", "mlp.fc2.bias", "gamma1", "gamma2"}
    extra |= {"dcn.offset_mask_dw.weight", "dcn.offset_mask_dw.bias"}
    assert set(large.state_dict()) - small == extra


def test_a_new_block_learns_a_shift():
    block, x = DCNv4Block(16, mlp_ratio=1.0), torch.randn(2, 16, 6, 6)
    goal = torch.roll(x, 1, dims=3)
    optimizer = torch.optim.Adam(block.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (block(x) - goal).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]
