"""Boards: the recorded runs of one protocol as rows of a table."""

import itertools
import math
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from predcnn.leaderboard import records
from predcnn.leaderboard.names import Name, name_of
from predcnn.leaderboard.published import Published, published_rows
from predcnn.leaderboard.standing import judged
from predcnn.leaderboard.table import Row, Value

REFERENCES = {"copy_last": "Copy of the last frame", "all_black": "All black"}
"""Name -> label of the baselines that are computed on the same test sequences."""
FIXED = {"params", "macs", "macs_published", "steps", "sequences"}
"""Numbers that no seed changes, shown without a spread."""


@dataclass(frozen=True)
class EntryRow(Row):
    """A row with its records.

    Attributes:
        slug: unique in all boards, safe in file names, ids and links.
        curves: metric -> one mean value per lead time.
        runs: the records of the entry; none for computed baselines.
        about: label, paper and code.
    """

    slug: str = ""
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    runs: tuple[dict, ...] = ()
    about: Name | None = None

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
        budget_minutes: of the runs; None: the length that the scale sets.
        metrics: names, in the order of the columns.
        definitions: metric -> one sentence.
        rows: best mean of the first metric first, failures last.
        published: the published rows of the data set, each of another protocol.
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


def boards(rows: Iterable[dict], black: Collection[str] = ()) -> list[Board]:
    """Group records into boards, in the order in which they were begun.

    Args:
        rows: of a file of records.
        black: fingerprints of the runs whose prediction collapsed to black.
    """
    rows = list(rows)
    references = records.newest(rows, "reference")
    groups: dict[tuple, list[dict]] = {}
    for run in records.newest(rows, "run").values():
        key = (run["test_fingerprint"], run["scale"], run["budget_minutes"])
        groups.setdefault(key, []).append(run)
    taken: set[str] = set()
    return [_board(runs, references.get(test), black, taken) for (test, *_), runs in groups.items()]


def _board(
    runs: list[dict], all_black: dict | None, black: Collection[str], taken: set[str]
) -> Board:
    done = [run for run in runs if run["status"] == "finished"]
    about = (done or runs)[0]
    budget, data = about["budget_minutes"], about["data"]
    length = "full" if budget is None else f"{budget:g}min"
    key = unique_slug(f"{data['name']}-{about['scale']}-{length}-{data['protocol']}", taken)
    names: dict[str, list[dict]] = {}
    for run in runs:
        names.setdefault(run["name"], []).append(run)
    rows = [_row(unique_slug(f"{key}-{name}", taken), group) for name, group in names.items()]
    metrics, definitions = (), {}
    if done:
        results = done[0]["results"]
        metrics = tuple(results["metrics"])
        definitions = {m: results["definitions"].get(m, "") for m in metrics}
        if "copy_last" not in names:
            rows.append(_reference("copy_last", results["copy_last"]))
    if all_black is not None:
        rows.append(_reference("all_black", all_black["results"]))
    first = "mse" if "mse" in metrics or not metrics else metrics[0]
    rows.sort(key=lambda row: row.values[first].mean if first in row.values else math.inf)
    dark = {row.name for row in rows if any(r["fingerprint"] in black for r in row.finished)}
    published = tuple(row for row in published_rows() if row.data == data["name"])
    ordered = tuple(judged(rows, dark))
    return Board(key, data, about["scale"], budget, metrics, definitions, ordered, published)


def _row(slug: str, runs: list[dict]) -> EntryRow:
    done = [run for run in runs if run["status"] == "finished"]
    singles = [numbers(run) for run in done]
    keys = dict.fromkeys(key for single in singles for key in single)
    values = {key: _value(key, [s[key] for s in singles if key in s]) for key in keys}
    if done:
        values["seeds"] = Value(len(done))
    curves = [run["results"]["per_frame"] for run in done]
    shared = [m for m in (curves[0] if curves else ()) if all(m in c for c in curves)]
    trained = not done or values["params"].mean > 0
    about = name_of(runs[0]["name"], runs[0]["kind_of_entry"])
    return EntryRow(
        name=runs[0]["name"],
        label=about.label,
        kind=runs[0]["kind_of_entry"] if trained else "baseline",
        values=values,
        failures=tuple(
            f"seed {r['seed']}: {r['reason']}"[:300] for r in runs if r["status"] == "failed"
        ),
        slug=slug,
        curves={metric: _mean_curve(c[metric] for c in curves) for metric in shared},
        runs=tuple(runs),
        about=about,
    )


def _reference(key: str, results: dict) -> EntryRow:
    values = {metric: Value(v) for metric, v in results["metrics"].items() if v is not None}
    return EntryRow(key, REFERENCES[key], "baseline", values, curves=results["per_frame"])


def _value(key: str, singles: list[float]) -> Value:
    several = len(singles) > 1 and key not in FIXED
    return Value(statistics.fmean(singles), statistics.stdev(singles) if several else None)


def _mean_curve(curves: Iterable[list[float | None]]) -> list[float | None]:
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
