"""Schedules of teacher forcing: published values, equal draws after a resume and on ranks."""

import math

import pytest
import torch

from predcnn.training.sampling import (
    AlwaysTruth,
    Progress,
    ReverseScheduledSampling,
    ScheduledSampling,
    TeacherCoin,
)

SCHEDULES = [
    ScheduledSampling(),
    ReverseScheduledSampling(),
    TeacherCoin(),
    AlwaysTruth(),
]


def test_scheduled_sampling_falls_by_2e5_a_step_to_zero():
    schedule = ScheduledSampling()
    for step in (0, 1, 24_999, 49_999):
        assert schedule.probability(Progress(step)) == pytest.approx(
            1 - 2e-5 * (step + 1), abs=1e-12
        )
    assert schedule.probability(Progress(50_000)) == 0
    assert not schedule(Progress(60_000), 4, 10, 19)[:, 10:].any()


def test_maus_reference_schedule_never_decays():
    stuck = ScheduledSampling(decays=False)
    assert [stuck.probability(Progress(s)) for s in (0, 30_000, 49_999, 50_000)] == [1, 1, 1, 0]


def test_reverse_sampling_follows_its_formula():
    schedule = ReverseScheduledSampling()
    assert schedule.probabilities(Progress(24_999)) == (0.5, 0.5)
    past, future = schedule.probabilities(Progress(30_000))
    assert (past, future) == pytest.approx((1 - 0.5 * math.exp(-1), 0.4))
    assert schedule.probabilities(Progress(50_000)) == (1, 0)
    use = schedule(Progress(50_000), 3, 10, 19)
    assert use[:, :10].all()
    assert not use[:, 10:].any()


def test_draws_have_the_stated_frequency():
    use = ScheduledSampling(steps=100)(Progress(59), 2000, 2, 10)
    assert use[:, 2:].float().mean().item() == pytest.approx(0.4, abs=0.02)
    early = ReverseScheduledSampling(steps=100)(Progress(0), 2000, 5, 10)
    assert early[:, 1:].float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_the_coin_draws_once_per_batch():
    coin = TeacherCoin(decay=0.05)
    drawn = [coin(Progress(step, epoch=10), 4, 3, 8)[:, 3:] for step in range(400)]
    assert all(use.all() or not use.any() for use in drawn)
    assert sum(bool(use.all()) for use in drawn) / 400 == pytest.approx(0.5, abs=0.1)
    assert not coin(Progress(0, epoch=20), 4, 3, 8)[:, 3:].any()


def test_a_length_below_one_is_a_share_of_the_run():
    short, long = ScheduledSampling(steps=0.4), ScheduledSampling(steps=400)
    for step in (0, 399, 400, 999):
        progress = Progress(step, total=1000)
        assert short.probability(progress) == pytest.approx(long.probability(progress))
    reverse = ReverseScheduledSampling(steps=0.5)
    assert reverse.probabilities(Progress(375, total=1000)) == (
        ReverseScheduledSampling(steps=500).probabilities(Progress(375))
    )
    coin = TeacherCoin(steps=0.6)
    assert [coin.probability(Progress(s, total=10)) for s in (0, 3, 6, 9)] == [1, 0.5, 0, 0]
    with pytest.raises(ValueError, match="length"):
        short.probability(Progress(0))
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="share of the run"):
            ScheduledSampling(steps=wrong)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_every_schedule_is_deterministic_and_starts_with_truth(schedule):
    for step in (0, 7, 40_000):
        use = schedule(Progress(step, epoch=3), 5, 4, 9)
        assert use.dtype == torch.bool
        assert use.shape == (5, 9)
        assert use[:, 0].all()
        assert torch.equal(use, schedule(Progress(step, epoch=3), 5, 4, 9))


def test_ranks_together_draw_the_values_of_one_process():
    for schedule in (ReverseScheduledSampling(steps=100), TeacherCoin(decay=0.5)):
        joint = schedule(Progress(50, epoch=1), 8, 2, 9)
        for rank in range(2):
            part = schedule(Progress(50, epoch=1, rank=rank, ranks=2), 4, 2, 9)
            assert torch.equal(part, joint[rank::2])
