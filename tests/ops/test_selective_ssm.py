"""Selective state space models along several directions."""

import pytest
import torch

from predcnn.ops.scan import selective_scan
from predcnn.ops.selective_ssm import SelectiveSSM, step_bias
from tests.ops.reference import assert_near


def test_each_direction_is_a_separate_model():
    ssm = SelectiveSSM(4, state=3, rank=2, directions=2)
    x = torch.randn(2, 2, 4, 10)
    y = ssm(x)
    for k in range(2):
        own = slice(4 * k, 4 * (k + 1))
        step, B, C = (ssm.x_proj_weight[k] @ x[:, k]).split([2, 3, 3], dim=1)
        expected = selective_scan(
            x[:, k],
            ssm.dt_projs_weight[k] @ step,
            -ssm.A_logs[own].exp(),
            B,
            C,
            ssm.Ds[own],
            delta_bias=ssm.dt_projs_bias[k],
            delta_softplus=True,
            backend="textbook",
        )
        assert_near(y[:, k], expected)


def test_initial_steps_and_decays_match_mamba():
    step = torch.nn.functional.softplus(step_bias((5000,)))
    assert step.min() > 0.99e-3
    assert step.max() < 0.101
    assert step.log().mean().item() == pytest.approx(-4.6, abs=0.1)  # log-uniform: half of ln 1e-4
    ssm = SelectiveSSM(2, state=3, rank=1, directions=1)
    assert_near(ssm.A_logs.exp(), torch.tensor([[1.0, 2.0, 3.0]]).expand(2, 3))


def test_multiply_adds_follow_the_published_rule():
    ssm = SelectiveSSM(8, state=4, rank=2, directions=2)
    assert ssm.scan.true_macs((1, 16, 25), (1, 16, 25), (16, 4)) == 9 * 16 * 25 * 4 + 16 * 25
