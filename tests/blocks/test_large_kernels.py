"""Branches of large depthwise kernels: reference values, and the merged kernel equals their sum."""

import pytest
import torch
from torch import nn

from predcnn.blocks.replknet import ReparamLargeKernelConv
from predcnn.blocks.slak import DecomposedLargeKernelConv
from predcnn.blocks.unireplknet import DILATED_BRANCHES, DilatedReparamConv
from predcnn.ops.depthwise import DepthwiseConv2d
from tests.ops.reference import assert_near, loaded, reference


def randomised(module: nn.Module) -> nn.Module:
    """The module in eval mode with random BatchNorm statistics and weights."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.weight, 1.0, 0.3)
            nn.init.normal_(part.bias)
    return module.eval()


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def test_parallel_kernel_matches_the_reference_code_and_merges():
    values = reference("replk_reparam")
    module = loaded(ReparamLargeKernelConv(6, 13, 5), "replk_reparam")
    assert_near(module(values["input"]), values["output"])
    module.merge_()
    assert_near(module(values["input"]), values["output"])
    assert set(module.state_dict()) == {"lkb_reparam.weight", "lkb_reparam.bias"}
    assert_near(module.lkb_reparam.weight, values["merged_weight"])
    assert_near(module.lkb_reparam.bias, values["merged_bias"])


def test_dilated_branches_match_the_reference_code_and_merge():
    name = "unireplk_dilated_reparam_k13"
    values = reference(name)
    module = loaded(DilatedReparamConv(4, 13), name)
    assert_near(module(values["input"]), values["output"])
    module.merge_()
    assert_near(module(values["input"]), values["output"])
    assert_near(module.lk_origin.weight, values["merged_weight"])
    assert_near(module.lk_origin.bias, values["merged_bias"])


def test_strips_match_the_reference_code_and_merge():
    values = reference("slak_decomposed")
    module = loaded(DecomposedLargeKernelConv(6, 51, 5, 5), "slak_decomposed")
    assert_near(module(values["input"]), values["output"])
    module.merge_()
    assert_near(module(values["input"]), values["output"])
    assert len(convolutions(module)) == 2


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: ReparamLargeKernelConv(3, 7, None), 1),
        (lambda: ReparamLargeKernelConv(3, 9, 3), 1),
        (lambda: DecomposedLargeKernelConv(3, 11, 3, None), 2),
        (lambda: DecomposedLargeKernelConv(3, 11, 5, 3), 2),
        *[(lambda k=k: DilatedReparamConv(3, k), 1) for k in DILATED_BRANCHES],
    ],
)
def test_merging_keeps_the_output_and_is_idempotent(make, left):
    module = randomised(make())
    x = torch.randn(2, 3, 19, 8)
    with torch.no_grad():
        before = module(x)
        module.merge_()
        weights = {k: v.clone() for k, v in module.state_dict().items()}
        module.merge_()
        assert_near(module(x), before, 1e-5)
    assert len(convolutions(module)) == left
    assert all(torch.equal(v, weights[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("size", [(21, 21), (31, 3), (3, 31), (51, 5)])
@pytest.mark.parametrize("shape", [(2, 4, 16, 16), (1, 4, 3, 20)])
def test_large_depthwise_gradients_match_float64(size, shape):
    conv = DepthwiseConv2d(4, size, bias=True)
    x = torch.randn(shape, requires_grad=True)
    y = conv(x)
    upstream = torch.randn_like(y)
    got = torch.autograd.grad(y, (x, conv.weight, conv.bias), upstream)
    wide = x.detach().double().requires_grad_()
    weight, bias = (t.detach().double().requires_grad_() for t in (conv.weight, conv.bias))
    exact = nn.functional.conv2d(wide, weight, bias, padding=conv.padding, groups=4)
    expected = torch.autograd.grad(exact, (wide, weight, bias), upstream.double())
    assert_near(y.double(), exact)
    for a, b in zip(got, expected, strict=True):
        assert_near(a.double(), b)


def test_kernels_that_do_not_fit_raise():
    with pytest.raises(ValueError, match="odd sides"):
        DepthwiseConv2d(4, (6, 5))
    with pytest.raises(ValueError, match=r"small kernel \(5\) must fit into 3"):
        ReparamLargeKernelConv(4, 3, 5)
    with pytest.raises(ValueError, match="kernel 8; accepted: 5, 7"):
        DilatedReparamConv(4, 8)
    with pytest.raises(ValueError, match="must fit into the strip"):
        DecomposedLargeKernelConv(4, 13, 3, 5)
