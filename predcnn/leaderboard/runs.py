"""Runs of entries: probe, train, measure, and record the content of results.json."""

import datetime
import json
import queue
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from omegaconf import DictConfig

from predcnn.files import finite, only_writer
from predcnn.leaderboard import records
from predcnn.leaderboard.entries import Entry, key_of, kind_of
from predcnn.leaderboard.processes import MEASURE, PACE, PROBE, TRAIN, EntryError, run_child, say
from predcnn.training.budget import own_steps, settings_of_budget, steps_within
from predcnn.training.callbacks.checkpoint import LAST, PREVIOUS
from predcnn.training.csv_logger import read_history

FILES = {"config": "config.yaml", "results": "results.json", "curves": "curves.png",
         "sequence": "sequence.npz"}  # fmt: skip
SHARED = ("fingerprint", "code", "name", "seed", "data", "test_fingerprint")
"""Attributes of an entry that its record repeats."""
BUSY = 0.1
"""Cores: where other programs take more from a probe, its entry gets too few steps and a note."""
GUARD = 4  # a run with a budget is stopped after this many times its minutes


@dataclass(frozen=True)
class Bench:
    """Settings of all entries."""

    output: Path  # folder of the records and the runs
    budget_minutes: float | None  # of training steps; None: the length that the scale sets
    batch_sizes: tuple[int, ...]
    any_code: bool = False  # accept finished entries of every version of the code
    render_to: Path | None = None  # folder of the tables and the page; None: ``output``

    @property
    def folder(self) -> Path:
        return self.render_to or self.output

    @property
    def records(self) -> Path:
        return self.output / "records.jsonl"

    @property
    def sizes(self) -> str:
        return ",".join(map(str, self.batch_sizes))


def finished(bench: Bench, entry: Entry) -> dict | None:
    """Return the record of a finished run of this entry; None if there is none."""
    rows = records.read(bench.records).rows
    code = None if bench.any_code else entry.code
    found = records.newest(rows, "run", code).get(entry.fingerprint, {})
    return found if found.get("status") == "finished" else None


def run_all(
    bench: Bench, entries: Sequence[Entry], jobs: int | None
) -> Iterator[tuple[Entry, dict]]:
    """Run entries: one after another on a CPU, with several GPUs one on each."""
    count = torch.cuda.device_count()
    devices: list[str | None] = [str(i) for i in range(count)] if count > 1 else [None]
    free: queue.Queue[str | None] = queue.Queue()
    for i in range(jobs or len(devices)):
        free.put(devices[i % len(devices)])

    def one(entry: Entry) -> tuple[Entry, dict]:
        device = free.get()
        try:
            return entry, run_entry(bench, entry, device)
        finally:
            free.put(device)

    if free.qsize() == 1:
        yield from map(one, entries)
        return
    with ThreadPoolExecutor(free.qsize()) as pool:
        for future in as_completed([pool.submit(one, entry) for entry in entries]):
            yield future.result()


def run_entry(bench: Bench, entry: Entry, device: str | None = None) -> dict:
    """Train, test, measure and record one entry, or return its earlier record."""
    place = f"{entry.name}_seed{entry.seed}_{entry.fingerprint[:12]}_{entry.code[:6]}"
    folder = bench.output / "entries" / place
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder, timeout=-1):
        found = finished(bench, entry)
        if found is not None:
            return found
        about = about_run(entry, bench.budget_minutes)
        try:
            record = _run(bench, entry, folder, device)
        except (EntryError, ValueError) as error:
            files = {"log": (folder / "log.txt").as_posix()}
            record = {"status": "failed", "reason": str(error), "files": files}
        record = _portable(about | record, bench.output)
        records.append(bench.records, record)
    return record


def _run(bench: Bench, entry: Entry, folder: Path, device: str | None) -> dict:
    log = folder / "log.txt"
    overrides = [*entry.overrides, "trainer.enable_progress_bar=false"]
    plan = None if bench.budget_minutes is None else _plan(bench, entry, log, device)
    if plan is not None:
        overrides += overrides_of_budget(
            entry.cfg, plan["steps"], bench.budget_minutes, entry.overrides
        )
    run_dir = folder / (f"run_{plan['steps']}_steps" if plan else "run")
    peak = _train(run_dir, overrides, log, device)
    run_child(MEASURE, ["run", str(run_dir), bench.sizes], log, device)
    return {
        "status": "finished",
        "command": " ".join(["predcnn", "train", *overrides]),
        **read_run(run_dir),
        "training_memory": peak and {"bytes": peak, "of": "the process, resident"},
        "plan": plan,
        "files": {"log": log.as_posix()}
        | {key: (run_dir / name).as_posix() for key, name in FILES.items()},
        **_note(plan),
    }


def _train(run_dir: Path, overrides: list[str], log: Path, device: str | None) -> int | None:
    """Train and test, or continue an interrupted run; return the peak memory if known."""
    run_dir.mkdir(exist_ok=True)
    with only_writer(run_dir) as free:
        if not free:  # the child of a killed benchmark may still train
            say(f"waiting for the process that trains in {run_dir}")
    with only_writer(run_dir, timeout=-1):
        pass
    if (run_dir / "results.json").exists():
        return None
    # last.ckpt is missing for a moment while it is replaced
    resume = any((run_dir / "checkpoints" / name).exists() for name in (LAST, PREVIOUS))
    place = [f"hydra.run.dir={run_dir.as_posix()}", f"resume={str(resume).lower()}"]
    return run_child(TRAIN, [*overrides, *place], log, device)


def _plan(bench: Bench, entry: Entry, log: Path, device: str | None) -> dict | None:
    """Return the steps that fill the budget; None where nothing is trained."""
    pace = pace_of(bench, entry, log, device)
    if pace["steps"] == 0:
        return None
    seconds = pace["seconds_per_step"] * entry.cfg.trainer.accumulate_grad_batches
    setting = f"budget_minutes={bench.budget_minutes:g}"
    return {"steps": steps_within(60 * bench.budget_minutes, seconds, setting), "pace": pace}


def overrides_of_budget(
    cfg: DictConfig, steps: int, budget_minutes: float, given: Sequence[str]
) -> list[str]:
    """Return overrides for a run of ``steps`` steps; a scale's schedule may be ``given``."""
    hours, minutes = divmod(int(GUARD * budget_minutes) + 5, 60)
    keys = {key_of(override) for override in given}
    settings = settings_of_budget(cfg, steps, own_steps(cfg))
    return [
        *(
            f"{key}={'null' if value is None else value}"
            for key, value in settings.items()
            if not (key.startswith("scale.") and key in keys)
        ),
        f"trainer.max_time='{hours // 24:02d}:{hours % 24:02d}:{minutes:02d}:00'",
        "callbacks.drawing=null",
    ]


def _note(plan: dict | None) -> dict:
    """Return a note if the budget was probed on a busy machine."""
    taken = plan["pace"].get("taken") if plan else None  # older probes have no count
    if taken is None or taken <= BUSY:
        return {}
    return {"note": "other programs ran during its probe, so that it got too few steps"}


def pace_of(bench: Bench, entry: Entry, log: Path, device: str | None) -> dict:
    """Return the duration of a step; runs that differ in seed or budget share a probe."""
    rows = records.read(bench.records).rows
    known = records.newest(rows, "probe", entry.code).get(entry.pace_key)
    if known is not None:
        return known["pace"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="probe_", dir=log.parent) as folder:
        place = [f"hydra.run.dir={Path(folder).as_posix()}", *PROBE]
        run_child(TRAIN, [*entry.overrides, *place], log, device)
        pace = json.loads((Path(folder) / PACE).read_text())
    about = {"fingerprint": entry.pace_key, "code": entry.code, "name": entry.name}
    records.append(bench.records, {"kind": "probe", **about, "pace": pace, "recorded": now()})
    return pace


def about_run(entry: Entry, budget_minutes: float | None) -> dict:
    """Return the part of a record that is known before the run."""
    return {
        "kind": "run",
        **{key: getattr(entry, key) for key in SHARED},
        "kind_of_entry": kind_of(entry.cfg)[0],
        "scale": entry.cfg.scale.name,
        "budget_minutes": budget_minutes,
        "recorded": now(),
    }


def read_run(run_dir: Path) -> dict:
    """Return results, config, costs and validation history of a finished and measured run."""
    history = read_history(run_dir / "metrics.csv")
    return {
        "results": json.loads((run_dir / "results.json").read_text()),
        "config": yaml.safe_load((run_dir / "config.yaml").read_text()),
        **json.loads((run_dir / "measured.json").read_text()),
        "history": {
            name: finite([list(steps), list(values)])
            for name, (steps, values) in history.items()
            if name in ("val/mse", "val/ssim")
        },
    }


def _portable(record: dict, output: Path) -> dict:
    """Make all paths in a record relative to the benchmark's folder."""
    folder = json.dumps(f"{output.as_posix()}/", ensure_ascii=False)[1:-1]
    return json.loads(json.dumps(record, ensure_ascii=False).replace(folder, ""))


def now() -> str:
    """Return the time of a record, UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
