"""Compare our speed with the reference implementations: ``run.py group=forward``.

    python scripts/dev/speed/run.py group=forward 'only=small *' rounds=7 threads=2 clock=wall

Settings are ``name=value`` arguments; their names and defaults are the fields of `Settings`.
"""

import datetime
import fnmatch
import sys
from dataclasses import dataclass, fields
from pathlib import Path

# a script's path starts at its own folder; `scripts` and `tests` lie in the repository's root
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import torch

from predcnn import native
from predcnn.app.allocator import keep_memory
from predcnn.app.provenance import command, git_state, versions
from predcnn.checks import unknown, whole_number
from predcnn.costs import describe_device
from predcnn.files import check_writable, write_json, write_text
from scripts.dev.speed import ALONE, GROUPS
from scripts.dev.speed.comparing import CLOCKS, How, gemm_peak
from scripts.dev.speed.report import as_json, as_markdown, geometric_mean, line


@dataclass(frozen=True)
class Settings:
    """Settings of the comparison.

    Attributes:
        group: a name of `GROUPS`, or "all".
        only: a glob over the names of the group's cases; an error lists them if none matches.
        rounds: measured pairs; the median counts.
        threads: of torch.
        clock: "wall", or "cpu" for this process alone: use it with threads=1 on a busy machine.
        keep_memory: set the allocator's thresholds as a training run does; group=processes
            measures their effect.
        output: folder for <group>.json and <group>.md.
    """

    group: str = "all"
    only: str = "*"
    rounds: int = 7
    threads: int = 2
    clock: str = "wall"
    keep_memory: bool = False
    output: str = "speed"

    def __post_init__(self) -> None:
        if self.group != "all" and self.group not in GROUPS:
            raise ValueError(unknown("group", self.group, ["all", *GROUPS]))
        if self.clock not in CLOCKS:
            raise ValueError(unknown("clock", self.clock, CLOCKS))
        whole_number("rounds", self.rounds)
        whole_number("threads", self.threads)


def parse(arguments: list[str]) -> Settings:
    """Read ``name=value`` arguments; values take the type of the field's default."""
    types = {field.name: type(field.default) for field in fields(Settings)}
    values = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in types:
            raise ValueError(unknown("setting", name, list(types)))
        values[name] = _convert(name, value, types[name])
    return Settings(**values)


def _convert(name: str, value: str, kind: type) -> str | int | bool:
    if kind is bool:
        if value not in ("true", "false"):
            raise ValueError(f"{name} is true or false, not {value}")
        return value == "true"
    if kind is int and not value.isdecimal():
        raise ValueError(f"{name} is a whole number, not {value}")
    return kind(value)


def compare(settings: Settings) -> None:
    """Run one group or all; each writes ``<group>.json`` and ``<group>.md`` to ``output``."""
    if settings.keep_memory:
        keep_memory()
    folder = Path(settings.output)
    check_writable(folder)
    torch.set_num_threads(settings.threads)
    every = [group for group in GROUPS if group not in ALONE]
    for group in every if settings.group == "all" else [settings.group]:
        _run(group, settings, folder)


def _run(group: str, settings: Settings, folder: Path) -> None:
    peak = gemm_peak(settings.clock)
    print(f"{group}: {describe_device()}, GEMM peak {peak / 1e9:.0f} G multiply–adds/s", flush=True)
    rows, how, names = [], How(settings.rounds, settings.clock, peak), []

    def wanted(name: str) -> bool:
        names.append(name)
        return fnmatch.fnmatch(name, settings.only)

    for comparison in GROUPS[group](wanted):
        rows.append(comparison.measure(how))
        print(line(rows[-1]), flush=True)
    if not rows:
        raise ValueError(
            f"only={settings.only}: no case of group {group} matches; its cases are "
            f"{', '.join(names)}"
        )
    print(f"{group}: geometric mean {geometric_mean(rows):.2f}", flush=True)
    about = {
        "date": datetime.date.today().isoformat(),
        "device": describe_device(),
        "threads": torch.get_num_threads(),
        "clock": settings.clock,
        "rounds": settings.rounds,
        "gemm_peak": peak,
        "kernels": native.describe(),
        "command": command(),
        "versions": versions(),
        "git": git_state(),
    }
    content = as_json(group, rows, about)
    write_json(folder / f"{group}.json", content)
    write_text(folder / f"{group}.md", as_markdown(content))


if __name__ == "__main__":
    try:
        compare(parse(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"error: {error}")
