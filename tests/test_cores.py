"""Busy machines are noticed before torch is loaded."""

import subprocess
import sys

import pytest

from predcnn import cores


@pytest.mark.parametrize(
    ("others", "environment", "chosen"),
    [
        (None, {}, {}),
        (0.1, {}, {}),
        (1.0, {}, {"OMP_WAIT_POLICY": "passive"}),
        (1.0, {"OMP_NUM_THREADS": "2"}, {}),
        (1.0, {"OMP_WAIT_POLICY": "active"}, {}),
    ],
)
def test_threads_wait_passively_on_a_busy_machine_unless_the_user_chose(
    others, environment, chosen
):
    assert cores.waiting(others, environment) == chosen


@pytest.mark.skipif(cores.machine_seconds() is None, reason="no /proc/stat on this system")
def test_a_spinning_process_counts_as_other():
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        others = cores.Watch().others(1.0)
    finally:
        spinner.kill()
        spinner.wait()
    assert others > cores.BUSY_CORES


def test_adapting_prints_one_line_and_sets_the_environment(capsys, monkeypatch):
    monkeypatch.setattr(cores.Watch, "others", lambda self, seconds=0.0: 1.2)
    environment: dict[str, str] = {}
    cores.adapt(cores.Watch(), environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}
    assert capsys.readouterr().out.startswith("other programs use 1.2 of ")
    environment = {"OMP_NUM_THREADS": "1"}
    cores.adapt(cores.Watch(), environment)
    assert environment == {"OMP_NUM_THREADS": "1"}
    assert capsys.readouterr().out == ""
