"""Schedules compared with their formulas; parameter groups."""

import math
from functools import partial

import pytest
import torch

from predcnn.training.optim import constant_schedule, cosine_schedule, layered_optimizer


def rates(schedule, steps: int, **options) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = schedule(optimizer, total_steps=steps, **options)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_cosine_follows_its_formula():
    seen = rates(cosine_schedule, 100, warmup=0.1, min_factor=0.01)
    assert seen[:10] == pytest.approx([2.0 * (i + 1) / 10 for i in range(10)])
    for step in (10, 37, 99):
        done = (step - 10) / 90
        assert seen[step] == pytest.approx(2 * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2))


def test_constant_keeps_the_rate():
    assert set(rates(constant_schedule, 5)) == {2.0}


def test_warmup_must_be_a_share():
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        rates(cosine_schedule, 10, warmup=3)


def test_warmup_and_cooldown_with_own_start_and_end():
    options = {"warmup": "10/100", "cooldown": 0.2, "start_factor": 0.1, "min_factor": 0.01}
    seen = rates(cosine_schedule, 100, **options)
    assert seen[:10] == pytest.approx([2.0 * (0.1 + 0.9 * (i + 1) / 10) for i in range(10)])
    assert seen[45] == pytest.approx(2 * (0.01 + 0.99 / 2))  # half of the 70 steps between
    assert seen[80:] == pytest.approx([0.02] * 20)
    with pytest.raises(ValueError, match="leave no steps"):
        rates(cosine_schedule, 10, warmup="1/2", cooldown=0.5)
    with pytest.raises(ValueError, match="5/300"):
        rates(cosine_schedule, 10, warmup="five")


def network() -> torch.nn.Module:
    from predcnn import create_backbone

    return create_backbone("van_b0", num_classes=3, dims=(8, 8, 8, 8), depths=(1, 1, 1, 1))


def test_norms_and_biases_have_no_weight_decay():
    net = network()
    made = layered_optimizer(net, optimizer=partial(torch.optim.AdamW, lr=0.1, weight_decay=0.3))
    decay = {id(p): g["weight_decay"] for g in made.param_groups for p in g["params"]}
    assert len(decay) == len(list(net.parameters()))
    for name, parameter in net.named_parameters():
        assert decay[id(parameter)] == (0.0 if parameter.ndim <= 1 else 0.3), name


def test_layer_decay_lowers_the_rates_towards_the_stem():
    net = network()
    make = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.3)
    made = layered_optimizer(net, optimizer=make, layer_decay=0.5)
    rate = {id(p): g["lr"] for g in made.param_groups for p in g["params"]}
    by_name = {name: rate[id(p)] for name, p in net.named_parameters()}
    assert by_name["head.fc.weight"] == pytest.approx(0.1)
    stem = max(v for k, v in by_name.items() if k.startswith("stem"))
    stages = [max(v for k, v in by_name.items() if f"stages.{i}.blocks" in k) for i in range(4)]
    assert stem < stages[0] < stages[1] < stages[2] < stages[3] <= 0.1
    assert not any("lr_scale" in group for group in made.param_groups)
    with pytest.raises(ValueError, match="layer_decay"):
        layered_optimizer(net, optimizer=make, layer_decay=2)
