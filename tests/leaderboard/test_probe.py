"""What a probe says about the machine it had."""

import os
import time
from pathlib import Path

import pytest
import torch

from predcnn.cores import machine_seconds
from predcnn.leaderboard.runs import _note
from predcnn.training.callbacks.probe import WARM_UP, Probe


def clock_of(*marks: tuple[float, float, float | None]) -> Probe:
    """A clock with wall seconds, own processor seconds and those of the machine, per step."""
    clock = Probe()
    for wall, own, machine in [(0.0, 0.0, 0.0)] * WARM_UP + list(marks):
        clock.marks.append((wall, own))
        clock.machine.append(machine)
    return clock


def test_cores_of_others_count_beyond_those_that_our_threads_leave(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    busy = clock_of((10.0, 5.0, 100.0), (12.0, 8.0, 104.0), (14.0, 11.0, 119.0))
    assert busy.taken() == pytest.approx((19 - 6) / 4 - 2)
    assert clock_of((10.0, 5.0, 100.0), (14.0, 13.0, 115.0)).taken() == 0
    assert clock_of((10.0, 5.0, None), (14.0, 13.0, None)).taken() is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="no /proc/stat")
def test_the_machine_counts_what_this_process_computes():
    before, own = machine_seconds(), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    assert machine_seconds() - before > 0.2


def test_a_machine_that_counts_nothing(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert machine_seconds() is None


@pytest.mark.parametrize("plan", [None, {"pace": {}}, {"pace": {"taken": None}}])
def test_unknown_load_gives_no_note(plan):
    assert _note(plan) == {}


def test_a_probe_on_a_busy_machine_gives_a_note():
    assert _note({"pace": {"taken": 0.1}}) == {}
    assert "other programs" in _note({"pace": {"taken": 0.83}})["note"]
