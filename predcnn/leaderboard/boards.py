"""Boards: the recorded runs of one protocol as rows of a table, with ranks, ties and tags."""

import itertools
import math
import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from predcnn.leaderboard import records
from predcnn.leaderboard.names import Name, name_of
from predcnn.leaderboard.published import Published, published_rows
from predcnn.leaderboard.table import Row, Value

REFERENCES = {"copy_last": "Copy of the last frame", "all_black": "All black"}
"""Name -> label of the baselines that are computed on the same test sequences."""
FIXED = {"params", "macs", "macs_published", "steps", "sequences"}
"""Numbers that no seed changes, shown without a spread."""
MARGIN = 1.25
"""SSIM and MAE reward predicting black, so an entry is marked and on a Pareto front only if its MSE
is at most this many times the best."""
BLACK = 0.1  # a prediction whose mean is below this share of the truth's has collapsed to black
CONSTANTS = ("mean_frame", "all_black")  # baselines that predict one frame for every input


@dataclass(frozen=True)
class EntryRow(Row):
    """A row with its records."""

    slug: str = ""  # unique in all boards, safe in file names, ids and links
    curves: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by lead time
    runs: tuple[dict, ...] = ()  # records; none for computed baselines
    about: Name | None = None

    @property
    def finished(self) -> list[dict]:
        return [run for run in self.runs if run["status"] == "finished"]


@dataclass(frozen=True)
class Board:
    """The runs on one test set with one scale and budget."""

    key: str  # a slug
    data: Mapping
    scale: str
    budget_minutes: float | None  # of the runs; None: the length that the scale sets
    definitions: Mapping[str, str]  # metric -> one sentence
    rows: tuple[EntryRow, ...]  # best mean of the first metric first, failures last
    published: tuple[Published, ...]  # of the data set, each of another protocol

    @property
    def runs(self) -> list[dict]:
        return [run for row in self.rows for run in row.finished]

    @property
    def speeds(self) -> list[dict]:
        """Batch sizes and device of the first run that measured speeds."""
        return next((run["throughput"] for run in self.runs if run["throughput"]), [])


def unique_slug(text: str, taken: set[str]) -> str:
    """Return a name that is safe in file names, ids and links, and add it to ``taken``."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", text)[:120]
    names = itertools.chain([stem], (f"{stem}-{i}" for i in itertools.count(2)))
    found = next(name for name in names if name not in taken)
    taken.add(found)
    return found


def boards(rows: Iterable[dict], black: Collection[str] = ()) -> list[Board]:
    """Group records into boards, in order of their start; ``black``: runs that collapsed."""
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
    definitions = {}
    if done:
        results = done[0]["results"]
        definitions = {m: results["definitions"].get(m, "") for m in results["metrics"]}
        if "copy_last" not in names:
            rows.append(_reference("copy_last", results["copy_last"]))
    if all_black is not None:
        rows.append(_reference("all_black", all_black["results"]))
    first = "mse" if "mse" in definitions else next(iter(definitions), "mse")
    rows.sort(key=lambda row: row.values[first].mean if first in row.values else math.inf)
    dark = {row.name for row in rows if any(r["fingerprint"] in black for r in row.finished)}
    published = tuple(row for row in published_rows() if row.data == data["name"])
    ordered = tuple(judged(rows, dark))
    return Board(key, data, about["scale"], budget, definitions, ordered, published)


def _row(slug: str, runs: list[dict]) -> EntryRow:
    done = [run for run in runs if run["status"] == "finished"]
    singles = [numbers(run) for run in done]
    keys = dict.fromkeys(key for single in singles for key in single)
    values = {}
    for key in keys:
        found = [single[key] for single in singles if key in single]
        spread = statistics.stdev(found) if len(found) > 1 and key not in FIXED else None
        values[key] = Value(statistics.fmean(found), spread)
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
        curves={metric: _mean_curve([c[metric] for c in curves]) for metric in shared},
        runs=tuple(runs),
        about=about,
    )


def _reference(key: str, results: dict) -> EntryRow:
    values = {metric: Value(v) for metric, v in results["metrics"].items() if v is not None}
    return EntryRow(key, REFERENCES[key], "baseline", values, curves=results["per_frame"])


def _mean_curve(curves: list[list[float | None]]) -> list[float | None]:
    return [None if None in c else statistics.fmean(c) for c in zip(*curves, strict=False)]


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


def judged(rows: Sequence[Row], black: Collection[str] = ()) -> list[Row]:
    """Add rank, tags and eligibility by MSE to sorted rows; ``black``: names of collapsed rows."""
    tested = [row for row in rows if "mse" in row.values]
    trained = [row for row in tested if row.kind != "baseline"]
    best = min((row.values["mse"].mean for row in trained), default=math.inf)
    baselines = [row for row in tested if row.kind == "baseline" and row.name in CONSTANTS]
    constant = min((row.values["mse"].mean for row in baselines), default=math.inf)
    ranks = _ranks(trained)
    found = []
    for row in rows:
        if row.kind == "baseline" or row.name not in ranks:
            found.append(row)
            continue
        mse, tags = row.values["mse"].mean, ()
        if row.name in black:
            tags = ("collapsed to black",)
        elif mse > constant:
            tags = ("no skill",)
        eligible = mse <= MARGIN * best and not tags
        found.append(replace(row, rank=ranks[row.name], tags=tags, eligible=eligible))
    return found


def _ranks(rows: Sequence[Row]) -> dict[str, str]:
    """Return name -> rank; an entry ties with the best of a group whose interval meets its own.

    An interval is mean ± standard deviation over seeds. An entry with one seed takes the pooled
    standard deviation of the entries with several.
    """
    spreads = [row.values["mse"].sd for row in rows if row.values["mse"].sd is not None]
    pooled = math.sqrt(statistics.fmean(sd**2 for sd in spreads)) if spreads else 0.0
    groups: list[list[str]] = []
    upper = -math.inf
    for row in rows:
        value = row.values["mse"]
        spread = pooled if value.sd is None else value.sd
        if value.mean - spread > upper:
            groups.append([])
            upper = value.mean + spread
        groups[-1].append(row.name)
    ranks, above = {}, 0
    for group in groups:
        ranks |= dict.fromkeys(group, f"{above + 1}{'=' if len(group) > 1 else ''}")
        above += len(group)
    return ranks
