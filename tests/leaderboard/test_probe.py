"""What a probe says about the machine it had."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from predcnn.cores import machine_seconds
from predcnn.leaderboard.runs import _note
from predcnn.training.callbacks.probe import Probe


def test_cores_of_others_count_beyond_those_that_our_threads_leave(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    probe = Probe()
    for others, taken in ((3.25, 1.25), (1.75, 0.0), (None, None)):
        probe.watch = SimpleNamespace(others=lambda found=others: found)
        assert probe.taken() == taken


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
