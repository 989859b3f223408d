"""The reference implementations compute what our implementations compute."""

import pytest
import torch

from scripts.dev.speed import data, loop, metrics, recurrent
from scripts.dev.speed.comparing import How, largest_error
from tests.predictors.recurrent_cases import clip, recurrent_names, tiny, truth_up_to
from tests.reference.recurrent import STEPS, run_stepwise


def test_every_recurrent_predictor_has_a_reference():
    assert set(STEPS) == set(recurrent.SMALL) == set(recurrent_names())


@pytest.mark.parametrize("name", STEPS)
def test_step_by_step_is_the_unrolled_network(name):
    net, frames, use_truth = tiny(name).double(), clip(2, 5).double(), truth_up_to(3, 2, 4)
    with torch.no_grad():
        ours, extras = net.unroll(frames, use_truth)
        plain, step = run_stepwise(net, frames, use_truth)
    assert largest_error(ours, plain) < 1e-9
    if "decoupling" in extras:
        assert extras["decoupling"].item() == pytest.approx(
            torch.stack(step.decoupling).mean().item(), rel=1e-9
        )


@pytest.mark.parametrize("name", ["moving_mnist", "mmnist_cifar"])
def test_sprites_drawn_one_by_one_are_the_same(name, monkeypatch):
    monkeypatch.setattr(data, "BATCH", 2)
    cases = list(data.cases(lambda wanted: wanted.startswith(name)))
    assert [case.ours().dtype for case in cases] == [torch.uint8, torch.float32]
    for case in cases:
        assert largest_error(case.ours(), case.plain()) == 0


def test_batched_ssim_equals_the_loop_over_frames(monkeypatch):
    monkeypatch.setattr(metrics, "SEQUENCES", 2)
    (case,) = metrics.cases(lambda name: name == "ssim 3")
    assert largest_error(case.ours(), case.plain()) < 1e-9


def test_the_bare_loop_learns_what_lightning_does(monkeypatch):
    monkeypatch.setattr(loop, "WARM_UP", 1)
    monkeypatch.setattr(loop, "STEPS_PER_ROUND", 1)
    monkeypatch.setattr(loop, "BATCH", 2)
    (case,) = loop.cases(lambda name: True)
    row = case.measure(How(rounds=2, clock="wall", gemm_peak=1.0))
    assert row.rounds == 2
    assert row.error < 1e-5
