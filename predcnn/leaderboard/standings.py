"""From records to boards: what was run under one protocol, side by side."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from predcnn.leaderboard import records
from predcnn.leaderboard.published import Published, published_rows

REFERENCES = {"copy_last": "copy the last frame", "all_black": "all black"}
"""Lines computed without a model on the same test sequences."""

FIXED = {"params", "macs", "macs_published", "steps", "sequences"}
"""Numbers that no seed changes, and that therefore have no spread."""


@dataclass(frozen=True)
class Value:
    """Mean over seeds, and the sample standard deviation where there are several."""

    mean: float
    sd: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of a board.

    Attributes:
        name: unique in its board.
        kind: "translator", "model", "reference" or "published".
        values: key of a column -> value; missing where there is none.
        seeds: of the finished runs.
        curves: metric -> one mean value per lead time.
        failures: reasons of the failed runs.
        runs: the records behind it.
    """

    name: str
    kind: str
    values: Mapping[str, Value] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    runs: tuple[dict, ...] = ()


@dataclass(frozen=True)
class Board:
    """Everything that was run on one test set with one scale and budget.

    Attributes:
        data: what results.json says of the data.
        scale: of the runs.
        budget_minutes: of the runs; None: as long as the scale says.
        metrics: names, in the order of the columns.
        definitions: metric -> one sentence.
        rows: best mean of the first metric first, failures last.
        published: the published rows of the data set, a different protocol each.
    """

    data: Mapping
    scale: str
    budget_minutes: float | None
    metrics: tuple[str, ...]
    definitions: Mapping[str, str]
    rows: tuple[Row, ...]
    published: tuple[Published, ...]

    @property
    def key(self) -> str:
        """A short unique name, for anchors and file names."""
        length = "full" if self.budget_minutes is None else f"{self.budget_minutes:g}min"
        return f"{self.data['name']}-{self.scale}-{length}-{self.data['protocol']}"

    @property
    def runs(self) -> list[dict]:
        """The records of all finished runs."""
        return [run for row in self.rows for run in row.runs if run["status"] == "finished"]

    @property
    def speeds(self) -> list[dict]:
        """The speeds of the first run that measured any: batch sizes and device."""
        return next((run["throughput"] for run in self.runs if run["throughput"]), [])


def boards(rows: Iterable[dict]) -> list[Board]:
    """Group records into boards, in the order in which they were begun."""
    rows = list(rows)
    latest = _latest_code(records.newest(rows, "run").values())
    references = records.newest(rows, "reference")
    groups: dict[tuple, list[dict]] = {}
    for run in latest:
        key = (run["test_fingerprint"], run["scale"], run["budget_minutes"])
        groups.setdefault(key, []).append(run)
    return [_board(runs, references.get(test)) for (test, *_), runs in groups.items()]


def _latest_code(runs: Iterable[dict]) -> list[dict]:
    """One record per recipe: the newest finished one, whatever the code, else the newest."""
    found: dict[str, dict] = {}
    for run in runs:
        before = found.get(run["recipe"])
        if before is None or run["status"] == "finished" or before["status"] == "failed":
            found[run["recipe"]] = run
    return list(found.values())


def _board(runs: list[dict], black: dict | None) -> Board:
    done = [run for run in runs if run["status"] == "finished"]
    metrics = tuple(done[0]["results"]["metrics"]) if done else ()
    names: dict[str, list[dict]] = {}
    for run in runs:
        names.setdefault(run["name"], []).append(run)
    rows = [_row(name, group) for name, group in names.items()]
    if done and "copy_last" not in names:
        rows.append(_reference("copy_last", done[0]["results"]["copy_last"]))
    if black is not None:
        rows.append(_reference("all_black", black["results"]))
    first = metrics[0] if metrics else ""
    rows.sort(key=lambda row: row.values[first].mean if first in row.values else math.inf)
    about = (done or runs)[0]
    return Board(
        data=about["data"],
        scale=about["scale"],
        budget_minutes=about["budget_minutes"],
        metrics=metrics,
        definitions=done[0]["results"]["definitions"] if done else {},
        rows=tuple(rows),
        published=tuple(row for row in published_rows() if row.data == about["data"]["name"]),
    )


def _row(name: str, runs: list[dict]) -> Row:
    done = [run for run in runs if run["status"] == "finished"]
    singles = [numbers(run) for run in done]
    keys = dict.fromkeys(key for single in singles for key in single)
    values = {key: _value([s[key] for s in singles if key in s]) for key in keys}
    for key in FIXED & values.keys():
        values[key] = Value(values[key].mean)
    curves = [run["results"]["per_frame"] for run in done]
    return Row(
        name=name,
        kind=runs[0]["kind_of_entry"],
        values=values,
        seeds=tuple(run["seed"] for run in done),
        curves={metric: _mean_curve([c[metric] for c in curves]) for metric in curves[0]}
        if curves
        else {},
        failures=tuple(
            f"seed {run['seed']}: {run['reason']}" for run in runs if run["status"] == "failed"
        ),
        runs=tuple(runs),
    )


def _reference(name: str, results: dict) -> Row:
    values = {key: Value(v) for key, v in results["metrics"].items() if v is not None}
    return Row(REFERENCES[name], "reference", values, curves=results["per_frame"])


def _value(singles: list[float]) -> Value:
    spread = statistics.stdev(singles) if len(singles) > 1 else None
    return Value(statistics.fmean(singles), spread)


def _mean_curve(curves: list[list[float | None]]) -> list[float | None]:
    columns = zip(*curves, strict=True)
    return [None if None in column else statistics.fmean(column) for column in columns]


def numbers(run: dict) -> dict[str, float]:
    """Every number of a finished run that a column may show, by the column's key."""
    results, timing = run["results"], run["results"]["timing"]
    found = {key: value for key, value in results["metrics"].items() if value is not None}
    found |= {key: results[key] for key in ("params", "macs", "macs_published")}
    for i, speed in enumerate(run["throughput"]):
        found["speed" if i == 0 else "speed_batched"] = speed["sequences_per_second"]
    if run["inference_memory"] is not None:
        found["inference_memory"] = run["inference_memory"]["bytes"]
    if run["training_memory"] is not None:
        found["training_memory"] = run["training_memory"]["bytes"]
    if timing.get("steps"):
        found |= {
            "steps": timing["steps"],
            "sequences": timing["sequences"],
            "wall_min": timing["steps_s"] / 60,
            "cpu_min": timing["steps_cpu_s"] / 60,
        }
    return found


def ranks(rows: Iterable[Row], key: str, higher_is_better: bool) -> dict[str, int]:
    """Names of the best (1) and second best (2) of a column among what has weights; ties share."""
    means = {row.name: row.values[key].mean for row in rows if _learns(row) and key in row.values}
    order = sorted(set(means.values()), reverse=higher_is_better)[:2]
    return {name: order.index(mean) + 1 for name, mean in means.items() if mean in order}


def _learns(row: Row) -> bool:
    return "params" in row.values and row.values["params"].mean > 0
