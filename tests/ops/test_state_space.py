"""S4D and HiPPO against published values, the recurrence itself, and Legendre polynomials."""

import math

import numpy as np
import pytest
import torch

from predcnn.ops.state_space import S4D, LongConv1d, S4DKernel, hippo_legs
from tests.ops.reference import assert_near, loaded, reference


def test_published_values():
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


def test_two_sided_layer_is_the_sum_of_both_readings():
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


def test_hippo_has_the_published_values():
    A, B = hippo_legs(8)
    assert_near(A, reference("hippo_legs")["A8"])
    assert_near(B, torch.tensor([math.sqrt(2 * n + 1) for n in range(8)], dtype=torch.float64))


def test_unbalanced_hippo_is_the_same_system_in_other_coefficients():
    A, B = hippo_legs(5)
    plain, entry = hippo_legs(5, balanced=False)
    for n in range(5):
        for k in range(n):
            assert plain[n, k].item() == pytest.approx(-((-1) ** (n - k)) * (2 * k + 1))
        assert plain[n, n].item() == -(n + 1)
        assert entry[n].item() == pytest.approx((-1) ** n)
    scale = entry / B
    assert_near(plain, scale[:, None] * A / scale)


def test_hippo_holds_the_history_as_legendre_coefficients():
    """d/dt c = (A c + B u) / t keeps the projection of u on [0, t] (HiPPO, theorem 2)."""
    order, end, steps = 6, 2.0, 4000
    A, B = (t.numpy() for t in hippo_legs(order))

    def signal(t):
        return np.cos(2 * t) + 0.3 * t

    state, t, step = B * 0.0, 1e-3, (end - 1e-3) / steps
    state[0] = signal(0.0)
    for _ in range(steps):  # implicit midpoint: stable for the stiff start

        def slope(time):
            return A / time, B * signal(time) / time

        matrix, entry = slope(t + step / 2)
        left = np.eye(order) - step / 2 * matrix
        state = np.linalg.solve(left, (np.eye(order) + step / 2 * matrix) @ state + step * entry)
        t += step
    nodes = np.linspace(0, end, 4001)
    for n in range(order):
        legendre = np.polynomial.legendre.Legendre.basis(n)(2 * nodes / end - 1)
        integral = torch.trapezoid(torch.from_numpy(signal(nodes) * legendre), dx=nodes[1]).item()
        expected = math.sqrt(2 * n + 1) * integral / end
        assert state[n] == pytest.approx(expected, abs=2e-3)


def test_demands_are_named():
    with pytest.raises(ValueError, match="must be even, not 7"):
        S4DKernel(2, 7)
    with pytest.raises(ValueError, match="order 1 or more"):
        hippo_legs(0)
