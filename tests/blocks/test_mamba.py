"""Mamba on maps: one direction matches the reference code, several are averaged."""

import pytest
import torch

from predcnn.blocks.mamba import CausalDepthwiseConv1d, MambaBlock
from tests.ops.reference import assert_near, parameters, reference

# ours <- reference code; True: with a leading axis of directions
PUBLISHED = {
    "in_proj.weight": ("in_proj.weight", False),
    "out_proj.weight": ("out_proj.weight", False),
    "conv1d.weight": ("conv1d.weight", False),
    "conv1d.bias": ("conv1d.bias", False),
    "ssm.A_logs": ("A_log", False),
    "ssm.Ds": ("D", False),
    "ssm.x_proj_weight": ("x_proj.weight", True),
    "ssm.dt_projs_weight": ("dt_proj.weight", True),
    "ssm.dt_projs_bias": ("dt_proj.bias", True),
}


def reference_mixer():
    mixer, state = MambaBlock(12, directions=("row",)).mixer, parameters("mamba_block_0")
    mixer.load_state_dict(
        {ours: state[key][None] if own else state[key] for ours, (key, own) in PUBLISHED.items()}
    )
    return mixer


def test_one_direction_matches_the_reference_code():
    values = reference("mamba_block_0")
    y = reference_mixer()(values["input"].view(2, 4, 5, 12))
    assert_near(y.flatten(1, 2), values["output"])


def test_directions_with_one_set_of_weights_are_averaged():
    one, x = reference_mixer(), torch.randn(2, 4, 5, 12)
    both = MambaBlock(12).mixer
    state = {}
    for key, value in one.state_dict().items():
        shared = key in ("in_proj.weight", "out_proj.weight")
        state[key] = value if shared else torch.cat([value, value])
    both.load_state_dict(state)
    backwards = one(x.flip(1, 2)).flip(1, 2)
    assert_near(both(x), (one(x) + backwards) / 2)


def test_every_pixel_sees_the_entire_map_by_default():
    x = torch.randn(1, 8, 4, 4, requires_grad=True)
    for options, sees_all in (({}, True), ({"directions": ("row",)}, False)):
        torch.manual_seed(0)
        block = MambaBlock(8, mlp_ratio=0, state=4, **options)
        (grad,) = torch.autograd.grad(block(x)[0, :, 1, 2].sum(), x)
        reached = grad.abs().sum(1)[0].flatten() > 0
        assert bool(reached.all()) == sees_all
        assert reached[:7].all()  # what comes before it, and itself


def test_convolution_is_causal():
    conv = CausalDepthwiseConv1d(3, 4)
    x = torch.randn(1, 3, 12)
    later = x.clone()
    later[..., 6:] += 1
    assert conv(x).shape == x.shape
    assert torch.equal(conv(x)[..., :6], conv(later)[..., :6])
    assert not torch.equal(conv(x)[..., 6:], conv(later)[..., 6:])


@pytest.mark.parametrize("wrong", [(), ("row", "row"), ("row", "diagonal")])
def test_directions_are_checked(wrong):
    with pytest.raises(ValueError, match=r"directions are one or more of .*, each once"):
        MambaBlock(8, directions=wrong)


def test_mlp_is_optional():
    assert "mlp.fc1.weight" not in MambaBlock(8, mlp_ratio=0).state_dict()
