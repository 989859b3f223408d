"""Costs of models without training, next to the published ones: ours | published | difference."""

import json
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from predcnn.costs import describe_device
from predcnn.files import only_writer, write_text
from predcnn.leaderboard import entries, records
from predcnn.leaderboard.code_version import code_version
from predcnn.leaderboard.processes import MEASURE, EntryError, run_child, say
from predcnn.leaderboard.published import published, source
from predcnn.leaderboard.runs import Bench, now
from predcnn.leaderboard.table import Column, Row, Table, Value, csv_text, escaped, scaled

ROUNDING = 0.05
"""Published parameters and FLOPs are rounded to a tenth of a million and of a billion."""
NOTES = (
    "params: with the parameters that the published code has and never uses. FLOPs: multiply–adds "
    "of one sequence by the counting rules of the published tables; MACs: the complete count of "
    "convolutions, linear maps and matrix products.",
    "difference: ours minus published, = within the rounding of the published number (0.05).",
    "seq/s: eval mode after warm-up, random input; memory: peak of one pass of the largest batch.",
)


def costs_of(record: dict) -> Row:
    """Return the row of a record, in millions and billions, with published values of that size."""
    name, kind = record["name"], record["kind_of_entry"]
    if record["status"] == "failed":
        return Row(name, kind, failures=(record["reason"],))
    comparable = record["scale"] == "published" and record["in_shape"][2:] == [64, 64]
    known = published(kind, name, record["data"]) if comparable else None
    memory = record["inference_memory"]
    numbers = {
        "params": record["params_published"] / 1e6,
        "params_published": known and known.params_millions,
        "flops": record["macs_published"] / 1e9,
        "flops_published": known and known.flops_billions,
        "macs": record["macs"] / 1e9,
        "memory": memory and memory["bytes"],
    }
    for key in ("params", "flops"):
        theirs = numbers[f"{key}_published"]
        numbers[f"{key}_difference"] = None if theirs is None else numbers[key] - theirs
    for speed in record["throughput"]:
        numbers[_speed(speed["batch_size"])] = speed["sequences_per_second"]
    return Row(name, kind, {k: Value(n) for k, n in numbers.items() if n is not None})


def _speed(size: int) -> str:
    return f"sequences_per_second_batch_{size}"


def difference(gap: float) -> str:
    """Return ours minus published as text; "=" within the rounding of the published number."""
    return "=" if abs(gap) <= ROUNDING * (1 + 1e-9) else f"{gap:+.2f}"


def costs_table(rows: Sequence[Row], title: str) -> Table:
    """Return the table of costs."""
    columns = []
    for key, heading in (("params", "params (M)"), ("flops", "FLOPs (G)")):
        columns += [
            Column(key, heading, scaled(1, 2)),
            Column(f"{key}_published", "published", scaled(1, 1)),
            Column(f"{key}_difference", "difference", difference),
        ]
    columns.append(Column("macs", "MACs (G)", scaled(1, 3)))
    for size in _sizes(rows):
        columns.append(Column(_speed(size), f"seq/s (batch {size})", scaled(1, 2)))
    return Table(title, [*columns, Column("memory", "memory (MB)", scaled(1e6, 0))], rows)


def _sizes(rows: Sequence[Row]) -> list[int]:
    prefix = _speed(0)[:-1]
    keys = {key for row in rows for key in row.values if key.startswith(prefix)}
    return sorted(int(key.removeprefix(prefix)) for key in keys)


def markdown_costs(table: Table, notes: Sequence[str]) -> str:
    """Render the table as Markdown with notes below."""
    lines = [f"# {escaped(table.title)}", "", table.markdown(), ""]
    lines += [f"- {note}" for note in notes]
    lines += [
        f"- {escaped(r.name)} failed: {escaped(why)}" for r in table.rows for why in r.failures
    ]
    return "\n".join(lines) + "\n"


def csv_costs(rows: Sequence[Row]) -> str:
    """Render the costs as CSV, in millions, billions, sequences per second and bytes."""
    head = ["name", "kind", "params", "params_published", "flops", "flops_published", "macs",
            "memory", "failure", *map(_speed, _sizes(rows))]  # fmt: skip
    lines = (
        {"name": row.name, "kind": row.kind, "failure": "; ".join(row.failures)}
        | {key: value.mean for key, value in row.values.items()}
        for row in rows
    )
    return csv_text(head, lines)


def profile_all(bench: Bench, cfg: DictConfig, folder: Path) -> Table:
    """Count and measure the chosen translators and models, or all; write costs.md and costs.csv.

    The size is ``scale=published`` unless an override says another. What was measured before on
    this device with this code is not measured again.
    """
    overrides = entries.train_overrides(cfg)
    if not any(override.startswith("scale=") for override in overrides):
        overrides.append("scale=published")
    known = records.newest(records.read(bench.records).rows, "costs", code_version())
    rows = []
    for choice in entries.choices(cfg, overrides, everything=True):
        rows.append(costs_of(_record(bench, [*overrides, *choice], known)))
        say(f"{rows[-1].name}: {'; '.join(rows[-1].failures) or 'done'}")
    scale = entries.compose_run(overrides).scale.name
    table = costs_table(rows, f"Costs, scale {scale}, {cfg.data.name}, on {describe_device()}")
    notes = [*NOTES, f"Published: {source()}"]
    write_text(folder / "costs.md", markdown_costs(table, notes))
    write_text(folder / "costs.csv", csv_costs(rows))
    say(f"written: {folder}/costs.md, .csv")
    return table


def _record(bench: Bench, overrides: list[str], known: dict[str, dict]) -> dict:
    run = entries.compose_run(overrides)
    settings = entries.plain(run)
    kind, name = entries.kind_of(run)
    identity = entries.fingerprint(
        settings["model"]["net"], list(bench.batch_sizes), describe_device()
    )
    if known.get(identity, {}).get("status") == "finished":
        return known[identity]
    record = {
        "kind": "costs",
        "fingerprint": identity,
        "code": code_version(),
        "name": name,
        "kind_of_entry": kind,
        "data": run.data.name,
        "scale": run.scale.name,
        "in_shape": settings["data"]["in_shape"],
        "recorded": now(),
    }
    place = bench.output / "costs" / f"{name}_{identity[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with only_writer(place, timeout=-1):
            arguments = ["costs", str(place / "costs.json"), bench.sizes, *overrides]
            run_child(MEASURE, arguments, place / "log.txt")
            record |= {"status": "finished", **json.loads((place / "costs.json").read_text())}
    except EntryError as error:
        record |= {"status": "failed", "reason": str(error)}
    records.append(bench.records, record)
    return record
