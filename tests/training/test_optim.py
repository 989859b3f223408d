"""Schedules against their formulas."""

import math

import pytest
import torch

from predcnn.training.optim import constant_schedule, cosine_schedule


def rates(schedule, steps: int, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = schedule(optimizer, total_steps=steps, **options)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_cosine_rises_and_falls_as_its_formula():
    seen = rates(cosine_schedule, 100, warmup=0.1, min_factor=0.01)
    assert seen[:10] == pytest.approx([2.0 * (i + 1) / 10 for i in range(10)])
    for step in (10, 37, 99):
        done = (step - 10) / 90
        assert seen[step] == pytest.approx(2 * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2))


def test_constant_stays():
    assert set(rates(constant_schedule, 5)) == {2.0}


def test_a_warmup_is_a_share():
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        rates(cosine_schedule, 10, warmup=3)
