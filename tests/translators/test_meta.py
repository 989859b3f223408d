"""Stacks of blocks: names, patterns, widths, rates, options, errors."""

import copy

import pytest
import torch
from torch import nn

import predcnn
from predcnn.ops import DropPath
from predcnn.translators import create_translator
from predcnn.translators.meta import MetaTranslator


class OwnBlock(nn.Module):
    """A user's block: nothing but the protocol."""

    def __init__(self, dim, *, mlp_ratio=4.0, drop_path=0.0, resolution=None, gain=1.0):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.drop_path = DropPath(drop_path)
        self.gain = gain

    def forward(self, x):
        return x + self.drop_path(self.gain * self.conv(x))


class NoBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()


OWN = f"{__name__}.OwnBlock"


def stack(translator, *, depth=4, hidden=24, **options):
    options = {"resolution": (4, 4), "mlp_ratio": 2.0, **options}
    return create_translator(translator, 16, hidden, depth, **options).eval()


@pytest.mark.parametrize("name", predcnn.list_translators())
def test_every_name_makes_a_translator(name):
    x = torch.randn(1, 16, 4, 4)
    assert stack(name, depth=2, hidden=32)(x).shape == x.shape


def test_names_are_sorted_and_openstl_names_are_refused():
    names = predcnn.list_translators()
    assert names == sorted(set(names))
    assert {"gsta", "moganet", "incepu", "vit"} <= set(names)
    assert not {"moga", "mlp", "simvp"} & set(names)


def test_widths_and_projections():
    stages = stack("convnext").stages
    assert [stage.block.norm.normalized_shape[0] for stage in stages] == [16, 24, 24, 24]
    projections = [isinstance(stage.project, nn.Conv2d) for stage in stages]
    assert projections == [True, False, False, True]
    assert not any(isinstance(s.project, nn.Conv2d) for s in stack("convnext", hidden=16).stages)


def test_rates():
    stages = stack("convnext", drop_path=0.07).stages
    rates = [stage.block.drop_path.drop_prob for stage in stages]
    assert rates == pytest.approx([0.01, 0.03, 0.05, 0.07])


def kinds(translator):
    return [type(stage.block).__name__ for stage in translator.stages]


def test_mixed_stacks():
    mixed = stack(["moganet", "van", "vit"], depth=5)
    expected = ["MogaBlock", "VANBlock", "ViTBlock", "MogaBlock", "VANBlock"]
    assert kinds(mixed) == expected
    assert mixed(torch.randn(2, 16, 4, 4)).shape == (2, 16, 4, 4)
    assert kinds(stack(["vit", OWN, "van", "van"])) == [
        "ViTBlock",
        "OwnBlock",
        "VANBlock",
        "VANBlock",
    ]
    # every second Swin block shifts, wherever the Swin blocks stand
    swin = stack(["van", "swin"], depth=8, resolution=(8, 8)).stages
    assert [stage.block.shift for stage in swin[1::2]] == [0, 2, 0, 2]


def test_a_custom_block_by_its_path():
    own = stack(OWN, options={"gain": 0.0})
    assert kinds(own) == ["OwnBlock"] * 4
    x = torch.randn(1, 16, 4, 4)
    direct = own.stages[3].project(own.stages[0].project(x))
    torch.testing.assert_close(own(x), direct)


def test_options_of_single_and_mixed_stacks():
    single = stack("swin", options={"mask_shift": True, "shift": True})
    assert all(s.block.mask_shift and s.block.shift for s in single.stages[1:])
    mixed = stack(["swin", "vit"], options={"vit": {"position": True}})
    assert mixed.stages[1].block.position
    assert not mixed.stages[0].block.mask_shift
    with pytest.raises(ValueError, match="swin, vit"):
        stack(["swin", "vit"], options={"position": True})


def test_resolution_is_needed_if_one_block_needs_it():
    assert stack("mlpmixer").needs_resolution
    assert stack(["van", "mlpmixer"]).needs_resolution
    assert not stack("van").needs_resolution


@pytest.mark.parametrize(
    ("translator", "error", "message"),
    [
        ("mogonet", KeyError, "did you mean moganet"),
        ("moga", KeyError, "accepted: .*moganet"),
        (["van", "convnxt"], KeyError, "did you mean convnext"),
        (["van", "incepu"], ValueError, "complete translator"),
        ([], ValueError, "at least one"),
        (["van"] * 5, ValueError, "depth 4"),
        (f"{__name__}.NoBlock", TypeError, "mlp_ratio, drop_path, resolution"),
        (f"{__name__}.Missing", KeyError, "Missing"),
        ("collections.Counter", TypeError, "not a torch.nn.Module"),
        ("nowhere.Block", KeyError, "nowhere"),
        (3, TypeError, "string"),
        (None, TypeError, "string"),
    ],
)
def test_wrong_translators(translator, error, message):
    with pytest.raises(error, match=message):
        stack(translator)


def test_wrong_sizes_and_options():
    with pytest.raises(ValueError, match="N_T"):
        stack("van", depth=1)
    with pytest.raises(ValueError, match="N_T"):
        stack("incepu", depth=1)
    with pytest.raises(ValueError, match=r"divisible by 8, given 20; nearest: 16 or 24"):
        stack("vit", hidden=20)
    with pytest.raises(TypeError, match="did you mean mask_shift"):
        stack("swin", options={"mask_shft": True})
    with pytest.raises(TypeError, match="'drop_path'"):
        stack("swin", options={"drop_path": 0.1})
    with pytest.raises(TypeError, match="accepted: kernels, groups"):
        stack("incepu", options={"kernel": 3})
    with pytest.raises(ValueError, match="8 groups do not divide 12 channels"):
        create_translator("incepu", 12, 32, 2, resolution=(4, 4))


@pytest.mark.parametrize("block", ["gsta", "moganet", "vit"])
def test_recomputing_changes_nothing(block):
    """Gradients, running statistics and random draws are those of the usual training."""
    torch.manual_seed(0)
    usual = MetaTranslator(
        16, 32, 3, blocks=block, resolution=(8, 8), mlp_ratio=2.0, drop_path=0.5
    ).train()
    frugal = copy.deepcopy(usual)
    frugal.recompute = True
    x = torch.randn(4, 16, 8, 8)
    results = []
    for translator in (usual, frugal):
        torch.manual_seed(1)
        given = x.clone().requires_grad_()
        out = translator(given)
        out.square().mean().backward()
        found = [out, given.grad, *(p.grad for p in translator.parameters())]
        results.append([*found, *translator.buffers()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
