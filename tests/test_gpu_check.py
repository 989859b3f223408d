"""The GPU check: its report, its shares of time, and a dry run on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.dev.gpu import packages, report
from scripts.dev.gpu.recipe import _clock
from scripts.dev.gpu.stage import Stage
from scripts.dev.gpu_check import STAGES, arguments

ROOT = Path(__file__).resolve().parent.parent


def failing():
    raise ValueError("this model\n failed")


def test_a_model_that_fails_is_recorded_and_the_stage_goes_on(tmp_path):
    stage = Stage("a. equality", 60, lambda: None)
    assert stage.run("bad", failing) is None
    assert stage.run("good", lambda: {"float32": 1e-7, "equal": True})["equal"]
    report.write(tmp_path, {"device": "none"}, [stage.record()])
    text = (tmp_path / "report.md").read_text()
    assert "ValueError: this model failed" in text
    assert "| good |" in text
    assert [row["name"] for row in report.read(tmp_path)["stages"][0]["rows"]] == ["bad", "good"]


def test_stages_without_time_are_listed_as_not_run(tmp_path):
    stage = Stage("b. speed", 0, lambda: None)
    assert stage.run("moganet", failing) is None
    report.write(tmp_path, {}, [stage.record()])
    assert "Not run: moganet." in (tmp_path / "report.md").read_text()


def test_rows_are_saved_immediately():
    saved = []
    stage = Stage("c", 60, lambda: saved.append(len(stage.rows)))
    stage.run("one", dict)
    stage.run("two", dict)
    assert saved == [1, 2]


def test_numbers_that_json_lacks_become_null(tmp_path):
    report.write(tmp_path, {"peak": float("nan")}, [])
    assert report.read(tmp_path)["about"]["peak"] is None


def test_shares_add_up_to_one():
    assert sum(share for _, share in STAGES.values()) == pytest.approx(1)
    assert all((ROOT / f"scripts/dev/gpu/{name}.py").is_file() for name, _ in STAGES.values())


def test_times_are_written_as_lightning_reads_them():
    assert _clock(93_784) == "01:02:03:04"


def test_missing_packages_are_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr(packages, "missing", lambda names: [n for n in names if n == "lpips"])
    with pytest.raises(RuntimeError, match=r"lacks lpips: .*--make-wheels DIR"):
        packages.prepare(None)


def test_unknown_stages_are_refused(capsys):
    with pytest.raises(SystemExit):
        arguments(["--stages", "ax"])
    assert "letters among abcde" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run_does_every_stage(tmp_path):
    command = [sys.executable, ROOT / "scripts/dev/gpu_check.py", "--dry-run", "--out", "report"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stages = json.loads((tmp_path / "report/report.json").read_text())["stages"]
    assert [stage["stage"][0] for stage in stages] == list(STAGES)
    rows = [row for stage in stages for row in stage["rows"]]
    assert not [row for row in rows if "error" in row]
    assert all(row["equal"] for stage in (stages[0], stages[4]) for row in stage["rows"])
    assert list((tmp_path / "report/recipe").rglob("*.gif"))
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "holds a report already" in again.stderr
    command = [*command[:-1], "more", "--resume", "report", "--stages", "d"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "more/report.json").read_text())["stages"][0]["rows"]
    assert row["steps"] == 8, row  # 4 of them in the first run
