"""S4D against the reference code and the recurrence; the block reads maps in raster order."""

import pytest
import torch

from predcnn.blocks.s4d import S4D, LongConv1d, S4DBlock, S4DKernel
from tests.ops.reference import assert_near, loaded, reference


def test_values_match_the_reference_code():
    values = reference("s4d_0")
    layer = loaded(S4D(4, 8), "s4d_0")
    assert_near(layer.kernel(16), values["kernel"])
    assert_near(layer(values["input"]), values["output"])


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 300])
def test_kernel_is_the_response_of_the_discretised_system(length):
    kernel = S4DKernel(3, 6).double()
    A = torch.complex(-kernel.log_A_real.exp(), kernel.A_imag)
    step = kernel.log_dt.exp()[:, None]
    decay = torch.exp(step * A)
    entry = (decay - 1) / A  # zero-order hold with B = 1
    state, response = entry, []
    for _ in range(length):
        response.append(2 * (torch.view_as_complex(kernel.C) * state).sum(-1).real)
        state = decay * state
    assert_near(kernel(length), torch.stack(response, -1), 1e-9)


def test_two_sided_layer_is_the_sum_of_both_directions():
    layer = S4D(2, 4, bidirectional=True)
    x = torch.randn(1, 2, 9)
    ahead, back = layer.kernel(9).chunk(2)
    expected = layer.D[:, None] * x
    for t in range(9):
        for s in range(9):
            tap = ahead[:, t - s] if s <= t else back[:, s - t - 1]
            expected = expected.index_add(2, torch.tensor([t]), (tap * x[:, :, s])[..., None])
    assert_near(layer.convolve(x), expected)


def test_long_convolution_is_causal_for_one_sided_kernels():
    conv, kernel = LongConv1d(), torch.randn(3, 8)
    x = torch.randn(2, 3, 8)
    later = x.clone()
    later[..., 5:] = 0
    assert_near(conv(x, kernel)[..., :5], conv(later, kernel)[..., :5])
    assert conv.true_macs((2, 3, 8), (3, 8)) == 2 * 3 * 36
    assert conv.true_macs((2, 3, 8), (3, 16)) == 2 * 3 * 64


def test_an_odd_state_raises():
    with pytest.raises(ValueError, match="must be even, not 7"):
        S4DKernel(2, 7)


def reached(block, row, column):
    x = torch.randn(1, 8, 4, 5, requires_grad=True)
    (grad,) = torch.autograd.grad(block(x)[0, :, row, column].sum(), x)
    return grad.abs().sum(1)[0].flatten() > 0


def test_default_sees_the_entire_map():
    assert reached(S4DBlock(8), 2, 1).all()


def test_one_direction_is_causal():
    seen = reached(S4DBlock(8, bidirectional=False, mlp_ratio=0), 2, 1)
    assert seen[:12].all()
    # the FFT leaks only rounding errors backwards
    block = S4DBlock(8, bidirectional=False, mlp_ratio=0).double()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    later = x.clone()
    later[:, :, 3] += 1.0
    assert torch.allclose(block(x)[:, :, :3], block(later)[:, :, :3], atol=1e-12)


def test_samples_are_independent():
    block = S4DBlock(8, state=16).eval()
    x = torch.randn(3, 8, 3, 7)
    assert torch.allclose(block(x)[1:], block(x[1:]), atol=1e-6)
