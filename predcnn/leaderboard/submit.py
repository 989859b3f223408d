"""Submission: check a finished run and print its record for a leaderboard."""

import json
import subprocess
from pathlib import Path

from omegaconf import OmegaConf

from predcnn.files import write_text
from predcnn.leaderboard import records
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.entries import HASHED, PACKAGE, Entry, entry_of
from predcnn.leaderboard.processes import MEASURE, run_child, say
from predcnn.leaderboard.protocol import title
from predcnn.leaderboard.runs import Bench, about_run, read_run

FILE = "record.jsonl"
BOARD = "docs/leaderboard"
ADVICE = """\
To add this row, run in a checkout of the repository:
  cat {run}/{file} >> {board}/records.jsonl
  mkdir -p {board}/{place} && cp {run}/sequence.npz {board}/{place}/
  python scripts/benchmark.py mode=render output={board}
and open a pull request with {board}."""


def submit(bench: Bench, run: str | None) -> None:
    """Print the record of the run directory ``run`` and how to add it to a leaderboard.

    A run of a benchmark keeps its budget; any other run is recorded without one.
    """
    run_dir = Path(run or "")
    if run is None or not (run_dir / "results.json").is_file():
        raise ValueError(f"run={run}: the directory of a finished run, which holds results.json")
    results = json.loads((run_dir / "results.json").read_text())
    entry = entry_of(OmegaConf.load(run_dir / "config.yaml"), (), None, {})
    if wrong := _wrong(results, entry):
        raise ValueError(f"run={run}: {wrong}")
    record = _of_benchmark(run_dir) or _of_run(bench, run_dir, entry, results)
    place = f"entries/{record['name']}_seed{record['seed']}_{record['fingerprint'][:12]}"
    record["files"] = {"sequence": f"{place}/sequence.npz"}
    if wrong := records.problem(record):
        raise ValueError(f"run={run}: no valid record, {wrong}")
    line = records.as_line(record)
    write_text(run_dir / FILE, f"{line}\n")
    (board,) = boards([record])
    say(
        f"data, code and record are valid; board: {title(board)}, protocol {entry.data['protocol']}"
    )
    say(line)
    say(ADVICE.format(run=run_dir.as_posix(), file=FILE, board=BOARD, place=place))


def _wrong(results: dict, entry: Entry) -> str | None:
    """Return why a result cannot be submitted; None if it can."""
    if results["task"] != "prediction" or results["data"]["split"] != "test":
        return "its results.json is not the test of a predictor"
    ours, theirs = entry.data_fingerprint, results["data"]["fingerprint"]
    if ours != theirs:
        return (
            f"the data of its config have the fingerprint {ours[:12]}, its test had {theirs[:12]}"
        )
    if results["git"] is None:
        return "made without a git checkout, so its code is not known"
    commit = results["git"]["commit"]
    command = ["git", "-C", str(PACKAGE), "diff", "--quiet", commit, "--", *HASHED]
    if subprocess.run(command, capture_output=True).returncode:
        return f"commit {commit[:12]} is unknown here, or the code that decides results has changed"
    return None


def _of_benchmark(run_dir: Path) -> dict | None:
    """Return the record that a benchmark wrote about a run; None if there is none."""
    folder = run_dir.resolve()
    output = next((f.parent for f in folder.parents if f.name == "entries"), folder)
    config = (folder / "config.yaml").relative_to(output).as_posix()
    runs = records.newest(records.read(output / "records.jsonl").rows, "run").values()
    return next((r for r in runs if r["files"].get("config") == config), None)


def _of_run(bench: Bench, run_dir: Path, entry: Entry, results: dict) -> dict:
    """Measure a run and return its record."""
    if not (run_dir / "measured.json").exists():
        run_child(MEASURE, ["run", str(run_dir), bench.sizes], run_dir / "measure.txt")
    changed = results["git"]["changed"]
    return {
        **about_run(entry, None),
        "status": "finished",
        "command": results["command"],
        **read_run(run_dir),
        "training_memory": None,
        "plan": None,
        **({"note": "made with uncommitted changes in the checkout"} if changed else {}),
    }
