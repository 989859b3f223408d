"""Every registered translator inside SimVP."""

import pytest
import torch

import predcnn
from predcnn.ops.depthwise import pixel_pitch
from predcnn.registry import TRANSLATORS

SHAPE = (4, 1, 16, 16)


def small(translator: str) -> torch.nn.Module:
    torch.manual_seed(0)
    options = {"hid_S": 8, "hid_T": 32, "N_S": 2, "N_T": 2, "mlp_ratio": 2.0}
    return predcnn.create_predictor(
        "simvp", in_shape=SHAPE, translator=translator, **options
    ).eval()


@pytest.fixture(params=predcnn.list_translators())
def predictor(request):
    return small(request.param)


@torch.no_grad()
def test_eval_is_deterministic_and_samples_are_independent(predictor):
    past = torch.rand(3, *SHAPE)
    expected = predictor(past)
    assert torch.equal(expected, predictor(past))
    apart = torch.cat([predictor(sample[None]) for sample in past])
    torch.testing.assert_close(apart, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_bfloat16_autocast(predictor):
    past = torch.rand(2, *SHAPE)
    exact = predictor(past)
    with torch.autocast("cpu", torch.bfloat16):
        rough = predictor(past)
    assert (rough.float() - exact).norm() <= 0.05 * exact.norm()


def test_gradient_reaches_every_parameter(predictor):
    predictor.train()
    for part in predictor.modules():
        if hasattr(part, "drop_prob"):
            part.drop_prob = 0.0
    predictor(torch.rand(2, *SHAPE)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in predictor.parameters())


@torch.no_grad()
def test_export(predictor):
    past = torch.rand(2, *SHAPE)
    exported = torch.export.export(predictor, (past,)).module()
    torch.testing.assert_close(exported(past), predictor(past), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", TRANSLATORS.names())
def test_compile_without_graph_breaks(name):
    """The stacks' blocks are compiled one by one in tests/blocks."""
    predictor, past = small(name), torch.rand(2, *SHAPE)
    expected = predictor(past)
    compiled = torch.compile(predictor, fullgraph=True)
    torch.testing.assert_close(compiled(past), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", predcnn.list_translators())
def test_channels_last_needs_no_copy(name):
    """No convolution of a channels-last SimVP gets a map that it must rearrange."""
    net = predcnn.create_predictor(
        "simvp", in_shape=(4, 1, 32, 32), translator=name, hid_S=8, hid_T=32, N_T=2
    ).to(memory_format=torch.channels_last)
    rearranged = []

    def look(part, given, _):
        if pixel_pitch(given[0]) is None:
            rearranged.append(part)

    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.GroupNorm):
            part.register_forward_hook(look)
    out = net(torch.rand(2, 4, 1, 32, 32))
    assert rearranged == []
    assert out.shape == (2, 4, 1, 32, 32)
