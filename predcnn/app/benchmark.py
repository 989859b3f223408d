"""Many models under one protocol: trained, tested, recorded, shown."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch
from omegaconf import DictConfig

from predcnn.app.benchmarking.costing import profile_all
from predcnn.app.benchmarking.entries import Entry, entries_of
from predcnn.app.benchmarking.rendering import record_references, render
from predcnn.app.benchmarking.reproducing import reproduce
from predcnn.app.benchmarking.running import Bench, finished, run_entry
from predcnn.app.console import quiet_libraries, say
from predcnn.app.files import check_writable
from predcnn.leaderboard import records


def benchmark(cfg: DictConfig) -> None:
    """What ``mode`` of ``configs/benchmark.yaml`` says.

    Raises:
        KeyError: an unknown mode.
    """
    if cfg.mode not in MODES:
        raise KeyError(f"no mode {cfg.mode!r}; accepted: {', '.join(MODES)}")
    quiet_libraries()
    MODES[cfg.mode](cfg)


def bench_of(cfg: DictConfig) -> Bench:
    """Where a benchmark writes and what it may take.

    Raises:
        ValueError: a budget or batch sizes that are none.
    """
    if cfg.budget_minutes is not None and not cfg.budget_minutes > 0:
        raise ValueError(f"budget_minutes={cfg.budget_minutes}: more than 0, or null for none")
    sizes = tuple(sorted({int(size) for size in cfg.batch_sizes}))
    if sizes and min(sizes) < 1:
        raise ValueError(f"batch_sizes={list(sizes)}: at least 1, or none for no measurement")
    output = Path(cfg.output).resolve()
    check_writable(output)
    return Bench(output, cfg.budget_minutes, sizes, cfg.any_code)


def train_all(cfg: DictConfig) -> None:
    """Every entry that is not finished yet, then all tables and the page.

    A failed entry is recorded with its reason, and the others go on.
    """
    bench, entries = bench_of(cfg), entries_of(cfg)
    damaged = records.read(bench.records).damaged
    if damaged:
        say(f"{bench.records}: lines {damaged} are damaged and left out (a killed writer)")
    waiting = [entry for entry in entries if finished(bench, entry) is None]
    say(f"{len(entries)} entries, {len(entries) - len(waiting)} of them finished: {bench.output}")
    failed = 0
    for count, (entry, record) in enumerate(_run(bench, waiting, cfg.jobs), start=1):
        failed += record["status"] == "failed"
        say(f"[{count}/{len(waiting)}] {entry.name}, seed {entry.seed}: {_outcome(record)}")
    record_references(bench, entries)
    render(bench, _folder(cfg))
    if failed:
        say(f"{failed} of {len(entries)} entries failed; the same command tries them again")


def show(cfg: DictConfig) -> None:
    """The tables and the page again, from the records alone."""
    render(bench_of(cfg), _folder(cfg))


def costs(cfg: DictConfig) -> None:
    """The cost columns of the published tables, and ours, without training."""
    profile_all(bench_of(cfg), cfg, _folder(cfg))


def reproduction(cfg: DictConfig) -> None:
    """One published recipe and whether its result comes out."""
    reproduce(bench_of(cfg), cfg)


def _folder(cfg: DictConfig) -> Path:
    return Path(cfg.render_to or cfg.output).resolve()


def _run(bench: Bench, entries: list[Entry], jobs: int | None) -> Iterator[tuple[Entry, dict]]:
    """Run entries, on a CPU one after another, with several GPUs one on each."""
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


def _outcome(record: dict) -> str:
    if record["status"] == "failed":
        return f"failed: {record['reason']}"
    metrics, timing = record["results"]["metrics"], record["results"]["timing"]
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    steps = timing.get("steps", 0)
    return f"{numbers}; {steps:,} steps in {timing.get('steps_s', 0.0) / 60:.1f} minutes"


MODES: dict[str, Callable[[DictConfig], None]] = {
    "train": train_all,
    "profile": costs,
    "reproduce": reproduction,
    "render": show,
}
