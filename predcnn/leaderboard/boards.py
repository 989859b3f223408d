"""Boards: the recorded runs of one protocol as rows of a table."""

import itertools
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from predcnn.leaderboard import records
from predcnn.leaderboard.published import Published, published_rows
from predcnn.leaderboard.table import Row, Value

REFERENCES = {"copy_last": "copy the last frame", "all_black": "all black"}
"""Baselines without a model, computed on the same test sequences."""

FIXED = {"params", "macs", "macs_published", "steps", "sequences"}
"""Numbers that no seed changes, shown without a spread."""
LONGEST_REASON = 300


@dataclass(frozen=True)
class EntryRow(Row):
    """A row with its records, ``curves``: metric -> one mean value per lead time."""

    seeds: tuple[int, ...] = ()
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    runs: tuple[dict, ...] = ()

    @property
    def finished(self) -> list[dict]:
        """The records of finished runs."""
        return [run for run in self.runs if run["status"] == "finished"]


@dataclass(frozen=True)
class Board:
    """The runs on one test set with one scale and budget.

    Attributes:
        key: a unique short name, safe in file names, ids and links.
        data: name, source, protocol and sizes.
        scale: of the runs.
        budget_minutes: of the runs; None: as long as the scale says.
        metrics: names, in the order of the columns.
        definitions: metric -> one sentence.
        rows: best mean of the first metric first, failures last.
        published: the published rows of the data set, of another protocol each.
    """

    key: str
    data: Mapping
    scale: str
    budget_minutes: float | None
    metrics: tuple[str, ...]
    definitions: Mapping[str, str]
    rows: tuple[EntryRow, ...]
    published: tuple[Published, ...]

    @property
    def runs(self) -> list[dict]:
        """The records of all finished runs."""
        return [run for row in self.rows for run in row.finished]

    @property
    def speeds(self) -> list[dict]:
        """Batch sizes and device of the first run that measured speeds."""
        return next((run["throughput"] for run in self.runs if run["throughput"]), [])


def unique_slug(text: str, taken: set[str]) -> str:
    """Return a name that is safe in file names, ids and links, and add it to ``taken``."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", text)[:120]
    numbers = itertools.chain([""], (f"-{i}" for i in itertools.count(2)))
    found = next(name for number in numbers if (name := f"{stem}{number}") not in taken)
    taken.add(found)
    return found


def boards(rows: Iterable[dict]) -> list[Board]:
    """Group records into boards, in the order in which they were begun."""
    rows = list(rows)
    references = records.newest(rows, "reference")
    groups: dict[tuple, list[dict]] = {}
    for run in records.newest(rows, "run").values():
        key = (run["test_fingerprint"], run["scale"], run["budget_minutes"])
        groups.setdefault(key, []).append(run)
    taken: set[str] = set()
    return [
        _board(_key(runs[0], taken), runs, references.get(test))
        for (test, *_), runs in groups.items()
    ]


def _key(run: dict, taken: set[str]) -> str:
    budget, data = run["budget_minutes"], run["data"]
    length = "full" if budget is None else f"{budget:g}min"
    return unique_slug(f"{data['name']}-{run['scale']}-{length}-{data['protocol']}", taken)


def _board(key: str, runs: list[dict], black: dict | None) -> Board:
    done = [run for run in runs if run["status"] == "finished"]
    names: dict[str, list[dict]] = {}
    for run in runs:
        names.setdefault(run["name"], []).append(run)
    rows = [_row(name, group) for name, group in names.items()]
    metrics, definitions = (), {}
    if done:
        metrics = tuple(done[0]["results"]["metrics"])
        definitions = {m: done[0]["results"]["definitions"].get(m, "") for m in metrics}
        if "copy_last" not in names:
            rows.append(_reference("copy_last", done[0]["results"]["copy_last"]))
    if black is not None:
        rows.append(_reference("all_black", black["results"]))
    first = metrics[0] if metrics else ""
    rows.sort(key=lambda row: row.values[first].mean if first in row.values else math.inf)
    about = (done or runs)[0]
    return Board(
        key=key,
        data=about["data"],
        scale=about["scale"],
        budget_minutes=about["budget_minutes"],
        metrics=metrics,
        definitions=definitions,
        rows=tuple(rows),
        published=tuple(row for row in published_rows() if row.data == about["data"]["name"]),
    )


def _row(name: str, runs: list[dict]) -> EntryRow:
    done = [run for run in runs if run["status"] == "finished"]
    singles = [numbers(run) for run in done]
    keys = dict.fromkeys(key for single in singles for key in single)
    values = {key: _value([s[key] for s in singles if key in s]) for key in keys}
    for key in FIXED & values.keys():
        values[key] = Value(values[key].mean)
    if done:
        values["seeds"] = Value(len(done))
    curves = [run["results"]["per_frame"] for run in done]
    shared = [m for m in (curves[0] if curves else ()) if all(m in c for c in curves)]
    return EntryRow(
        name=name,
        kind=runs[0]["kind_of_entry"],
        values=values,
        failures=tuple(
            f"seed {run['seed']}: {run['reason']}"[:LONGEST_REASON]
            for run in runs
            if run["status"] == "failed"
        ),
        seeds=tuple(run["seed"] for run in done),
        curves={metric: _mean_curve([c[metric] for c in curves]) for metric in shared},
        runs=tuple(runs),
    )


def _reference(name: str, results: dict) -> EntryRow:
    values = {key: Value(v) for key, v in results["metrics"].items() if v is not None}
    return EntryRow(REFERENCES[name], "reference", values, curves=results["per_frame"])


def _value(singles: list[float]) -> Value:
    spread = statistics.stdev(singles) if len(singles) > 1 else None
    return Value(statistics.fmean(singles), spread)


def _mean_curve(curves: list[list[float | None]]) -> list[float | None]:
    columns = zip(*curves, strict=False)
    return [None if None in column else statistics.fmean(column) for column in columns]


def numbers(run: dict) -> dict[str, float]:
    """Return every number of a finished run that a column may show, by the column's key."""
    results, timing = run["results"], run["results"]["timing"]
    found = {key: value for key, value in results["metrics"].items() if value is not None}
    found |= {key: results[key] for key in ("params", "macs", "macs_published")}
    for key, speed in zip(("speed", "speed_batched"), run["throughput"], strict=False):
        found[key] = speed["sequences_per_second"]
    for key in ("inference_memory", "training_memory"):
        if run[key] is not None:
            found[key] = run[key]["bytes"]
    if timing.get("steps"):
        found["steps"] = timing["steps"]
        found["sequences"] = timing.get("sequences", 0)
        found["wall_min"] = timing.get("steps_s", 0) / 60
        found["cpu_min"] = timing.get("steps_cpu_s", 0) / 60
    return found
