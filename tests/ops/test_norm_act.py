"""Group norm and SiLU in one pass match the separate operators."""

import pytest
import torch
from torch.nn import functional

from predcnn.ops.conv import ConvNormAct
from predcnn.ops.norm_act import group_norm_silu
from tests.ops.reference import assert_near


def separately(x, weight, bias, groups, eps, upscale=1):
    x = functional.pixel_shuffle(x, upscale)
    return functional.silu(functional.group_norm(x, groups, weight, bias, eps))


def leaves(shape, channels, dtype=torch.float32):
    x = torch.randn(shape, dtype=dtype).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels, dtype=dtype), torch.randn(channels, dtype=dtype)
    return [t.requires_grad_() for t in (x, weight, bias)]


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize(
    ("shape", "groups", "upscale"),
    [
        ((3, 16, 8, 8), 2, 1),
        ((2, 6, 5, 7), 2, 1),
        ((2, 8, 32, 32), 2, 1),
        ((2, 12, 6, 7), 3, 1),
        ((2, 21, 3, 3), 3, 1),
        ((1, 1, 4, 4), 1, 1),
        ((3, 64, 8, 8), 2, 2),
        ((2, 24, 5, 3), 3, 2),
        ((2, 18, 9, 11), 1, 3),
        ((1, 40, 1, 1), 2, 2),
    ],
)
def test_result_and_gradients_match_the_operators(shape, groups, upscale):
    given = leaves(shape, shape[1] // upscale**2)
    got = group_norm_silu(*given, groups, 1e-5, upscale=upscale)
    expected = separately(*given, groups, 1e-5, upscale)
    assert_near(got, expected)
    direction = torch.randn(expected.shape)
    pairs = zip(
        torch.autograd.grad(got, given, direction),
        torch.autograd.grad(expected, given, direction),
        strict=True,
    )
    for one, other in pairs:
        assert_near(one, other)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("upscale", [1, 2])
def test_gradients_match_finite_differences(upscale):
    given = leaves((2, 6 * upscale**2, 3, 4), 6, torch.float64)

    def fused(*tensors):
        return group_norm_silu(*tensors, 2, 1e-5, upscale=upscale)

    assert torch.autograd.gradcheck(fused, given)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("upscale", [1, 2])
def test_kernels_are_independent_of_the_number_of_threads(upscale):
    def result_and_gradients():
        out = group_norm_silu(*given, 2, 1e-5, upscale=upscale)
        return [out, *torch.autograd.grad(out.square().sum(), given)]

    given, before = leaves((5, 8 * upscale**2, 16, 16), 8), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        several = result_and_gradients()
        torch.set_num_threads(1)
        assert all(torch.equal(a, b) for a, b in zip(several, result_and_gradients(), strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("channels", [8, 64])
def test_a_mean_far_from_zero_costs_no_accuracy(channels):
    """float32 has steps of 8e-6 at 100: 8e-4 after division by the deviation; the bound is 2e-3."""
    x, weight, bias = leaves((2, channels, 64, 64), channels)
    x = x.detach() * 1e-2 + 100
    exact = separately(x.double(), weight.double(), bias.double(), 2, 1e-5).float()
    assert (group_norm_silu(x, weight, bias, 2, 1e-5) - exact).abs().max() < 2e-3


@pytest.mark.usefixtures("kernels")
def test_extreme_values_match_the_operators():
    x = torch.tensor([-1e4, -200.0, 0.0, 200.0, 1e4, float("nan")]).view(6, 1, 1, 1)
    maps = x.expand(6, 2, 1, 1).clone().to(memory_format=torch.channels_last)
    maps[:, 1] = 0
    got = group_norm_silu(maps, torch.full((2,), 300.0), torch.zeros(2), 1, 1e-5)
    expected = separately(maps, torch.full((2,), 300.0), torch.zeros(2), 1, 1e-5)
    torch.testing.assert_close(got, expected, equal_nan=True, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"down": True}, {"up": True}])
def test_channels_last_is_kept(options):
    unit = ConvNormAct(6, 8, **options).to(memory_format=torch.channels_last)
    x = torch.randn(2, 6, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    out = unit(x)
    assert out.is_contiguous(memory_format=torch.channels_last)
    (grad,) = torch.autograd.grad(out.square().sum(), x)
    assert grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize(("width", "options"), [(32, {}), (34, {"up": True}), (8, {"up": True})])
@torch.no_grad()
def test_a_compiled_graph_matches(width, options):
    unit = ConvNormAct(6, width, **options).to(memory_format=torch.channels_last)
    x = torch.randn(2, 6, 8, 8)
    torch.compiler.reset()
    frozen = torch.compile(unit, fullgraph=True, options={"freezing": True})
    torch.testing.assert_close(frozen(x), unit(x), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("width", "contained"), [(32, True), (8, False)])
@torch.no_grad()
def test_a_compiled_graph_contains_the_kernel_of_wide_maps(width, contained):
    seen = []
    torch.compiler.reset()
    keep = torch.compile(
        ConvNormAct(6, width), backend=lambda graph, _: seen.append(graph.code) or graph
    )
    keep(torch.randn(2, 6, 8, 8))
    assert any("predcnn.group_norm_silu" in code for code in seen) == contained


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("upscale", [1, 2])
def test_the_operator_passes_opcheck(upscale):
    x, weight, bias = (t.detach() for t in leaves((2, 8 * upscale**2, 6, 5), 8))
    operator = torch.ops.predcnn.group_norm_silu.default
    torch.library.opcheck(operator, (x, weight, bias, 2, 1e-5, upscale))
