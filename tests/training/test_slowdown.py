"""A slowdown by another program is printed once."""

import re
from types import SimpleNamespace

import pytest

from predcnn.training.callbacks import Slowdown, slowdown

TRAINER = SimpleNamespace(is_global_zero=True, train_dataloader=SimpleNamespace(num_workers=0))


@pytest.fixture
def clock(monkeypatch):
    state = SimpleNamespace(now=0.0)
    monkeypatch.setattr(slowdown.time, "perf_counter", lambda: state.now)
    return state


def run(callback, clock, seconds, steps):
    for _ in range(steps):
        clock.now += seconds
        callback.on_train_batch_end(TRAINER)


def test_steps_three_times_as_long_are_printed_once(clock, capsys):
    callback = Slowdown()
    run(callback, clock, 0.1, 100)
    assert capsys.readouterr().out == ""
    run(callback, clock, 0.5, 60)
    line = capsys.readouterr().out
    assert re.match(r"steps take 0\.50 s, 5\.0 times the usual", line)
    assert line.count("\n") == 1


def test_one_slow_moment_and_a_validation_are_not_printed(clock, capsys):
    callback = Slowdown()
    run(callback, clock, 0.1, 100)
    run(callback, clock, 0.5, 10)  # a checkpoint being written
    run(callback, clock, 0.1, 50)
    clock.now += 60.0  # validation
    callback.on_train_epoch_start(TRAINER, None)
    run(callback, clock, 0.12, 100)
    assert capsys.readouterr().out == ""
