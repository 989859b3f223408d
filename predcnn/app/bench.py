"""Measure ours against the plain formulations: ``python scripts/bench.py group=recurrent``."""

import datetime
import fnmatch
from pathlib import Path

import torch
from omegaconf import DictConfig

from predcnn import native
from predcnn.app.allocator import keep_memory
from predcnn.app.files import check_writable, write_json, write_text
from predcnn.app.provenance import command, git_state, versions
from predcnn.benchmarks import ALONE, GROUPS
from predcnn.benchmarks.comparing import CLOCKS, How, gemm_peak
from predcnn.benchmarks.report import as_json, as_markdown, geometric_mean, line
from predcnn.costs import describe_device


def bench(cfg: DictConfig) -> None:
    """Run one group or all; each leaves ``<group>.json`` and ``<group>.md`` in ``output``."""
    if cfg.group != "all" and cfg.group not in GROUPS:
        raise ValueError(f"group={cfg.group}: accepted are all, {', '.join(GROUPS)}")
    if cfg.clock not in CLOCKS:
        raise ValueError(f"clock={cfg.clock}: accepted are {', '.join(CLOCKS)}")
    if cfg.rounds < 1:
        raise ValueError(f"rounds is at least 1, not {cfg.rounds}")
    if cfg.keep_memory:
        keep_memory()
    folder = Path(cfg.output)
    check_writable(folder)
    torch.set_num_threads(cfg.threads)
    groups = [g for g in GROUPS if g not in ALONE] if cfg.group == "all" else [cfg.group]
    for group in groups:
        _run(group, cfg, folder)


def _run(group: str, cfg: DictConfig, folder: Path) -> None:
    peak = gemm_peak(cfg.clock)
    print(f"{group}: {describe_device()}, GEMM peak {peak / 1e9:.0f} G multiply–adds/s", flush=True)
    rows, how, names = [], How(cfg.rounds, cfg.clock, peak), []

    def wanted(name: str) -> bool:
        names.append(name)
        return fnmatch.fnmatch(name, cfg.only)

    for comparison in GROUPS[group](wanted):
        rows.append(comparison.measure(how))
        print(line(rows[-1]), flush=True)
    if not rows:
        raise ValueError(
            f"only={cfg.only}: nothing in group {group} has such a name; its cases are "
            f"{', '.join(names)}"
        )
    print(f"{group}: geometric mean {geometric_mean(rows):.2f}", flush=True)
    about = {
        "date": datetime.date.today().isoformat(),
        "device": describe_device(),
        "threads": torch.get_num_threads(),
        "clock": cfg.clock,
        "rounds": cfg.rounds,
        "gemm_peak": peak,
        "kernels": native.describe(),
        "command": command(),
        "versions": versions(),
        "git": git_state(),
    }
    content = as_json(group, rows, about)
    write_json(folder / f"{group}.json", content)
    write_text(folder / f"{group}.md", as_markdown(content))
