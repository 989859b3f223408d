"""Records survive many writers at once and writers that are killed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from predcnn.leaderboard import records
from tests.leaderboard.made_records import failure, run

WRITER = """
import sys
from predcnn.leaderboard import records
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(count):
    records.append(path, {"kind": "reproduction", "fingerprint": f"{name}-{i}", "text": "é" * 3000})
"""


def test_many_processes_lose_no_line(tmp_path):
    path = tmp_path / "records.jsonl"
    writers, each = 12, 25
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, f"writer{i}", str(each)])
        for i in range(writers)
    ]
    assert [process.wait() for process in processes] == [0] * writers
    found = records.read(path)
    assert found.ignored == {}
    names = [row["fingerprint"] for row in found.rows]
    assert sorted(names) == sorted(f"writer{i}-{j}" for i in range(writers) for j in range(each))
    for i in range(writers):
        mine = [name for name in names if name.startswith(f"writer{i}-")]
        assert mine == [f"writer{i}-{j}" for j in range(each)]


def test_a_killed_writer_costs_one_line(tmp_path):
    path = tmp_path / "records.jsonl"
    records.append(path, {"kind": "reproduction", "fingerprint": "a"})
    with path.open("ab") as file:
        file.write('{"schema": 2, "kind": "run", "text": "é'.encode()[:-1])
    assert list(records.read(path).ignored) == [2]
    records.append(path, {"kind": "reproduction", "fingerprint": "b"})
    found = records.read(path)
    assert [row["fingerprint"] for row in found.rows] == ["a", "b"]
    assert list(found.ignored) == [2]


def test_killed_writers_leave_complete_lines(tmp_path):
    path = tmp_path / "records.jsonl"
    process = subprocess.Popen([sys.executable, "-c", WRITER, path, "victim", "100000"])
    while not path.exists() or path.stat().st_size < 100_000:
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.wait()
    records.append(path, {"kind": "reproduction", "fingerprint": "after"})
    found = records.read(path)
    assert len(found.ignored) <= 1
    assert found.rows[-1]["fingerprint"] == "after"
    assert [r["fingerprint"] for r in found.rows[:-1]] == [
        f"victim-{i}" for i in range(len(found.rows) - 1)
    ]


def test_nan_is_refused_and_writes_nothing(tmp_path):
    path = tmp_path / "records.jsonl"
    with pytest.raises(ValueError, match="JSON compliant"):
        records.append(path, {"kind": "run", "value": float("nan")})
    assert not path.exists()
    assert records.read(path).rows == []


def test_another_schema_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"schema": 7}) + "\n")
    with pytest.raises(ValueError, match=r"line 1: schema 7, accepted: 2"):
        records.read(path)


def test_the_newest_counts_but_a_failure_hides_no_success():
    good, better = run("vit", 120.0), run("vit", 110.0)
    bad = failure("vit", "no memory")
    assert good["fingerprint"] == bad["fingerprint"]
    key = good["fingerprint"]
    assert records.newest([bad, good], "run")[key] is good
    assert records.newest([good, bad], "run")[key] is good
    assert records.newest([good, better], "run")[key] is better
    assert records.newest([good], "probe") == {}
