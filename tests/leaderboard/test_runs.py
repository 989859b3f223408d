"""Runs of entries: a training that outlives a killed benchmark is waited for."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from predcnn.leaderboard import records
from predcnn.leaderboard.processes import EntryError, run_child
from predcnn.leaderboard.runs import Bench, _portable, _train, finished
from tests.leaderboard.made_records import failure, run

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


def test_fingerprint_and_code_decide_what_is_already_run(tmp_path):
    bench, any_code = (Bench(tmp_path, None, (), any_code=given) for given in (False, True))
    done = run("simvp_vit", 100.0)
    entry = SimpleNamespace(fingerprint=done["fingerprint"], code=done["code"])
    newer = SimpleNamespace(fingerprint=done["fingerprint"], code="d" * 64)
    assert finished(bench, entry) is None
    records.append(bench.records, failure("simvp_vit", "no memory"))
    assert finished(bench, entry) is None
    records.append(bench.records, done)
    records.append(bench.records, {**failure("simvp_vit", "no memory"), "code": "d" * 64})
    assert finished(bench, entry)["results"] == done["results"]
    assert finished(bench, newer) is None
    assert finished(any_code, newer)["results"] == done["results"]
    assert finished(any_code, SimpleNamespace(fingerprint="other", code="d" * 64)) is None


def test_paths_of_a_record_are_relative_to_the_benchmark(tmp_path):
    folder = tmp_path / "a 'quoted' ünïcode"
    record = {"command": f"run dir={folder}/entries/x", "parts": [f"{folder}/y", 1, None]}
    expected = {"command": "run dir=entries/x", "parts": ["y", 1, None]}
    assert _portable(record, folder) == expected
