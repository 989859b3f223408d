"""SS2D against the reference code."""

import pytest
import torch

from predcnn.blocks.vmamba import SS2D, VMambaBlock
from tests.ops.reference import assert_near, loaded, reference


def test_default_form_matches_the_reference_code():
    values = reference("vmamba_ss2d_v05_noz")  # channels first there
    module = loaded(SS2D(16), "vmamba_ss2d_v05_noz")
    y = module(values["input"].permute(0, 2, 3, 1))
    assert_near(y.permute(0, 3, 1, 2), values["output"])


def test_gated_form_matches_the_reference_code():
    values = reference("vmamba_ss2d_v0")
    module = loaded(SS2D(16, state=16, ratio=2.0, gated=True), "vmamba_ss2d_v0")
    assert_near(module(values["input"]), values["output"])


def test_sizes_of_the_forms():
    new, old = VMambaBlock(16), VMambaBlock(16, form="v0", mlp_ratio=0)
    assert new.op.A_logs.shape == (64, 1)
    assert old.op.A_logs.shape == (128, 16)
    assert old.op.conv2d.bias is not None
    assert "mlp.fc1.weight" not in old.state_dict()
    assert VMambaBlock(16, state=4, ssm_ratio=2.0).op.A_logs.shape == (128, 4)
    with pytest.raises(ValueError, match="'v05_noz' or 'v0'"):
        VMambaBlock(16, form="v2")


def test_every_pixel_sees_the_entire_map():
    x = torch.randn(1, 8, 4, 5, requires_grad=True)
    (grad,) = torch.autograd.grad(VMambaBlock(8)(x)[0, :, 2, 1].sum(), x)
    assert (grad.abs().sum(1) > 0).all()


def test_initial_weights_match_the_reference_code():
    block = VMambaBlock(64)
    for linear in (block.op.in_proj, block.op.out_proj, block.mlp.fc1):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
    # the depthwise convolution keeps torch's own: uniform in +-1/3
    assert block.op.conv2d.weight.std().item() == pytest.approx(1 / 3 / 3**0.5, rel=0.15)
