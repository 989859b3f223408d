"""Runs of entries: a training that outlives a killed benchmark is waited for."""

import subprocess
import sys
import time

import pytest

from predcnn.leaderboard.processes import EntryError, run_child
from predcnn.leaderboard.runs import _train

OUTLIVING = """
import sys, time
from pathlib import Path
from predcnn.files import only_writer
folder = Path(sys.argv[1])
with only_writer(folder):
    (folder / "begun").touch()
    time.sleep(1.5)
    (folder / "results.json").write_text("{}")
"""


def test_a_training_that_outlives_its_benchmark_is_waited_for_and_not_repeated(tmp_path, capfd):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    process = subprocess.Popen([sys.executable, "-c", OUTLIVING, str(run_dir)])
    while not (run_dir / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    assert _train(run_dir, ["no_such_setting=1"], tmp_path / "log.txt", None) is None
    assert (run_dir / "results.json").exists()
    assert "waiting for the process that trains in" in capfd.readouterr().out
    assert not (tmp_path / "log.txt").exists()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('fine'); raise SystemExit('error: no such file')", "no such file"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL, as when memory runs out"),
    ],
)
def test_a_failed_child_gives_its_reason_in_one_sentence(tmp_path, code, reason):
    with pytest.raises(EntryError) as failed:
        run_child(["-c", code], [], tmp_path / "log.txt")
    assert str(failed.value) == reason


def test_a_child_reports_its_peak_memory_and_appends_to_the_log(tmp_path):
    log = tmp_path / "log.txt"
    peaks = [run_child(["-c", "print('one')"], [], log) for _ in range(2)]
    assert log.read_text().split() == ["one", "one"]
    assert all(peak is None or peak > 1_000_000 for peak in peaks)
