"""Train many models under one protocol, record and show their results."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from predcnn.app.console import quiet_libraries, say
from predcnn.checks import unknown
from predcnn.files import check_writable
from predcnn.leaderboard.costs import profile_all
from predcnn.leaderboard.entries import entries_of
from predcnn.leaderboard.render import record_references, render, show
from predcnn.leaderboard.reproduce import reproduce
from predcnn.leaderboard.robustness import measure_robustness
from predcnn.leaderboard.runs import Bench, finished, run_all
from predcnn.leaderboard.submit import submit


def benchmark(cfg: DictConfig) -> None:
    """Run the ``mode`` of ``configs/benchmark.yaml``."""
    if cfg.mode not in MODES:
        raise KeyError(unknown("mode", cfg.mode, MODES))
    if cfg.budget_minutes is not None and not cfg.budget_minutes > 0:
        raise ValueError(f"budget_minutes={cfg.budget_minutes}: more than 0, or null for none")
    if cfg.minutes is not None:
        raise ValueError("minutes= is for one run; a benchmark has budget_minutes=")
    sizes = tuple(sorted({int(size) for size in cfg.batch_sizes}))
    if sizes and min(sizes) < 1:
        raise ValueError(f"batch_sizes={list(sizes)}: at least 1, or none for no measurement")
    quiet_libraries()
    output = Path(cfg.output).resolve()
    check_writable(output)
    folder = Path(cfg.render_to).resolve() if cfg.render_to else None
    MODES[cfg.mode](Bench(output, cfg.budget_minutes, sizes, cfg.any_code, folder), cfg)


def train_all(bench: Bench, cfg: DictConfig) -> None:
    """Run every unfinished entry, recording failures, then render all tables and the page."""
    entries = entries_of(cfg)
    waiting = [entry for entry in entries if finished(bench, entry) is None]
    say(f"{len(entries)} entries, {len(entries) - len(waiting)} of them finished: {bench.output}")
    failed = 0
    for count, (entry, record) in enumerate(run_all(bench, waiting, cfg.jobs), start=1):
        failed += record["status"] == "failed"
        say(f"[{count}/{len(waiting)}] {entry.name}, seed {entry.seed}: {_outcome(record)}")
    record_references(bench, entries)
    render(bench)
    if failed:
        say(f"{failed} of {len(entries)} entries failed; the same command tries them again")


def test_with_noise(bench: Bench, cfg: DictConfig) -> None:
    """Test ``checkpoints`` with noise, then render all tables and the page."""
    measure_robustness(bench, cfg)
    render(bench)


def _outcome(record: dict) -> str:
    if record["status"] == "failed":
        return f"failed: {record['reason']}"
    metrics, timing = record["results"]["metrics"], record["results"]["timing"]
    numbers = ", ".join(f"{k} {'inf' if v is None else f'{v:.4g}'}" for k, v in metrics.items())
    steps = timing.get("steps", 0)
    return f"{numbers}; {steps:,} steps in {timing.get('steps_s', 0.0) / 60:.1f} minutes"


MODES: dict[str, Callable[[Bench, DictConfig], object]] = {
    "train": train_all,
    "profile": lambda bench, cfg: show(profile_all(bench, cfg)),
    "reproduce": reproduce,
    "render": lambda bench, cfg: render(bench),
    "robustness": test_with_noise,
    "submit": lambda bench, cfg: submit(bench, cfg.run),
}
