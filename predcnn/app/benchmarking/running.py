"""An entry from its first probe to its record."""

import datetime
import json
import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from predcnn.app.benchmarking.entries import Entry, kind_of
from predcnn.app.benchmarking.processes import EntryError, Usage, locked, run_module, run_train
from predcnn.app.benchmarking.schedule import words_of_budget
from predcnn.app.pictures import read_history
from predcnn.leaderboard import records
from predcnn.leaderboard.budget import CROWDED, steps_within

PROBE = "predcnn.app.benchmarking.probe"
MEASURE = "predcnn.app.benchmarking.measuring"


@dataclass(frozen=True)
class Bench:
    """What holds for all entries: where they go, what they may take, what counts as done."""

    output: Path
    budget_minutes: float | None
    batch_sizes: tuple[int, ...]
    any_code: bool = False

    @property
    def records(self) -> Path:
        """The file of the records."""
        return self.output / "records.jsonl"


def finished(bench: Bench, entry: Entry) -> dict | None:
    """The record of a finished run of this very entry."""
    rows = records.read(bench.records).rows
    found = records.newest(rows, "run").get(entry.fingerprint)
    if found is not None and found["status"] == "finished":
        return found
    if not bench.any_code:
        return None
    for row in reversed(rows):
        done = row["kind"] == "run" and row["status"] == "finished"
        if done and row["recipe"] == entry.recipe:
            return row
    return None


def run_entry(bench: Bench, entry: Entry, device: str | None = None) -> dict:
    """Train, test, measure and record one entry, from where an earlier benchmark stopped.

    Returns:
        its record, of an earlier benchmark if that finished it.
    """
    short = entry.fingerprint[:12]
    folder = bench.output / "entries" / f"{entry.name}_seed{entry.seed}_{short}"
    with locked(folder / ".lock") as lock:
        found = finished(bench, entry)
        if found is not None:
            return found
        try:
            record = _run(bench, entry, folder, lock, device)
        except (EntryError, ValueError) as error:
            record = {**_about(bench, entry), "status": "failed", "reason": str(error)}
            record["files"] = {"log": _relative(folder / "log.txt", bench)}
        record = _portable(record, f"{bench.output}/")
        records.append(bench.records, record)
    return record


def _run(bench: Bench, entry: Entry, folder: Path, lock: int, device: str | None) -> dict:
    log = folder / "log.txt"
    words = [*entry.words, "trainer.enable_progress_bar=false"]
    plan = None
    if bench.budget_minutes is not None:
        plan = _plan(bench, entry, log, lock, device)
    if plan is not None:
        words += words_of_budget(entry.cfg, plan["steps"], bench.budget_minutes, entry.words)
    run_dir = folder / (f"run_{plan['steps']}_steps" if plan else "run")
    usage = None
    if not (run_dir / "results.json").exists():
        resume = (run_dir / "checkpoints" / "last.ckpt").exists()
        usage = run_train(
            [*words, f"hydra.run.dir={run_dir}", f"resume={str(resume).lower()}"],
            log, lock, device,
        )  # fmt: skip
    measured = run_dir / "measured.json"
    sizes = [str(size) for size in bench.batch_sizes]
    best = run_dir / "checkpoints" / "best.ckpt"
    run_module(MEASURE, [str(measured), str(best), *sizes], log, lock, device)
    return {
        **_about(bench, entry),
        "status": "finished",
        "command": " ".join(["predcnn-train", *words]),
        **_read(run_dir, usage),
        "plan": plan,
        "files": _files(run_dir, log, bench),
        **_remark(plan),
    }


def _plan(bench: Bench, entry: Entry, log: Path, lock: int, device: str | None) -> dict | None:
    """The steps that fill the budget; None where nothing is trained."""
    pace = pace_of(bench, entry, log, lock, device)
    if pace["steps"] == 0:
        return None
    return {"steps": steps_within(bench.budget_minutes, pace["seconds_per_step"]), "pace": pace}


def _remark(plan: dict | None) -> dict:
    """What the page has to say about a budget that was found on a crowded machine."""
    taken = plan["pace"].get("taken") if plan else None  # older probes did not count
    if taken is None or taken <= CROWDED:
        return {}
    return {"note": "other programs ran during its probe, so that it got too few steps"}


def pace_of(bench: Bench, entry: Entry, log: Path, lock: int, device: str | None) -> dict:
    """How fast an entry trains, from an earlier probe or from one now.

    Runs that differ in their seeds or budgets alone share it.
    """
    where = bench.output / "probes" / f"{entry.name}_{entry.pace_key[:12]}.json"
    known = records.newest(records.read(bench.records).rows, "probe").get(entry.pace_key)
    if known is None:
        run_module(PROBE, [str(where), *entry.words], log, lock, device)
        pace = json.loads(where.read_text())
        known = {"kind": "probe", "fingerprint": entry.pace_key, "name": entry.name, "pace": pace}
        records.append(bench.records, {**known, "recorded": now()})
    return known["pace"]


def _about(bench: Bench, entry: Entry) -> dict:
    return {
        "kind": "run",
        "fingerprint": entry.fingerprint,
        "recipe": entry.recipe,
        "code": entry.code,
        "name": entry.name,
        "seed": entry.seed,
        "kind_of_entry": kind_of(entry.cfg)[0],
        "data": entry.data,
        "test_fingerprint": entry.test_fingerprint,
        "scale": entry.cfg.scale.name,
        "budget_minutes": bench.budget_minutes,
        "recorded": now(),
    }


def _read(run_dir: Path, usage: Usage | None) -> dict:
    """What a finished run left, and the peak of its process if it was watched to its end."""
    history = read_history(run_dir / "metrics.csv")
    return {
        "results": json.loads((run_dir / "results.json").read_text()),
        "config": yaml.safe_load((run_dir / "config.yaml").read_text()),
        **json.loads((run_dir / "measured.json").read_text()),
        "training_memory": usage and {"bytes": usage.peak_bytes, "of": "the process, resident"},
        "history": {
            name: [list(steps), [v if math.isfinite(v) else None for v in values]]
            for name, (steps, values) in history.items()
            if name in ("val/mse", "val/ssim")
        },
    }


def _files(run_dir: Path, log: Path, bench: Bench) -> dict:
    gifs = sorted((run_dir / "predictions").glob("sequence_*.gif"))
    found = {
        "config": run_dir / "config.yaml",
        "results": run_dir / "results.json",
        "curves": run_dir / "curves.png",
        "sequence": run_dir / "sequence.npz",
        "log": log,
    }
    paths = {name: _relative(path, bench) for name, path in found.items()}
    return {**paths, "gifs": [_relative(path, bench) for path in gifs]}


def _portable(value: object, folder: str) -> object:
    """A part of a record with its paths from the benchmark's folder on: it is read elsewhere."""
    if isinstance(value, dict):
        return {key: _portable(part, folder) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(part, folder) for part in value]
    return value.replace(folder, "") if isinstance(value, str) else value


def _relative(path: Path, bench: Bench) -> str:
    return path.relative_to(bench.output).as_posix()


def now() -> str:
    """The time of a record, UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
