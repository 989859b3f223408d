"""Costs of untrained models next to the published ones."""

import json
from collections.abc import Sequence

from omegaconf import DictConfig

from predcnn.costs import describe_device
from predcnn.files import only_writer, write_text
from predcnn.leaderboard import entries, records
from predcnn.leaderboard.processes import MEASURE, EntryError, run_child, say
from predcnn.leaderboard.published import Published, published, source, variants_of
from predcnn.leaderboard.runs import Bench, now
from predcnn.leaderboard.table import Column, Row, Table, Value, escaped, scaled

ROUNDING = 0.05
"""Published parameters and FLOPs are rounded to a tenth of a million and of a billion."""
SPEED = "sequences_per_second_batch_"
NOTES = (
    "params: with the parameters that the published code has and never uses. FLOPs: multiply–adds "
    "of one sequence by the counting rules of the published tables; MACs: the complete count of "
    "convolutions, linear maps and matrix products.",
    "difference: ours minus published, = within the rounding of the published number (0.05).",
    "seq/s: eval mode after warm-up, random input; memory: peak of one pass of the largest batch.",
)


def costs_of(record: dict, variant: Published | None = None) -> Row:
    """Return the row of a record, in millions and billions, and the published values.

    ``variant`` is the published row of a variant; None: that of the model itself.
    """
    name, kind = record["name"], record["kind_of_entry"]
    label = name if variant is None else variant.label
    if record["status"] == "failed":
        return Row(label, kind=kind, failures=(record["reason"],))
    known = (variant or published(kind, name, record["data"])) if _comparable(record) else None
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
        numbers[f"{SPEED}{speed['batch_size']}"] = speed["sequences_per_second"]
    values = {key: Value(number) for key, number in numbers.items() if number is not None}
    return Row(label, kind=kind, values=values)


def _comparable(record: dict) -> bool:
    return record["scale"] == "published" and record["in_shape"][2:] == [64, 64]


def difference(gap: float) -> str:
    """Format ours minus published; "=" within the rounding of the published number."""
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
    speeds = {key for row in rows for key in row.values if key.startswith(SPEED)}
    for size in sorted(int(key.removeprefix(SPEED)) for key in speeds):
        columns.append(Column(f"{SPEED}{size}", f"seq/s (batch {size})", scaled(1, 2)))
    return Table(title, [*columns, Column("memory", "memory (MB)", scaled(1e6, 0))], rows)


def markdown_costs(table: Table, notes: Sequence[str]) -> str:
    """Render the table as Markdown with notes below."""
    failed = [f"{r.name} failed: {reason}" for r in table.rows for reason in r.failures]
    below = [f"- {note}" for note in notes] + [f"- {escaped(reason)}" for reason in failed]
    return "\n".join([f"# {escaped(table.title)}", "", table.markdown(), "", *below, ""])


def profile_all(bench: Bench, cfg: DictConfig) -> Table:
    """Measure the chosen models, or all, unless recorded for this device and code."""
    overrides = entries.train_overrides(cfg)
    if not any(override.startswith("scale=") for override in overrides):
        overrides.append("scale=published")
    known = records.newest(records.read(bench.records).rows, "costs", entries.code_version())
    rows = []
    for choice in entries.choices(cfg, overrides, everything=True):
        record = _record(bench, [*overrides, *choice], known)
        rows.append(_reported(costs_of(record)))
        variants = variants_of(record["name"], record["data"]) if _comparable(record) else []
        for row in variants:
            found = _record(bench, [*overrides, *choice, *row.overrides], known)
            rows.append(_reported(costs_of(found, row)))
    scale = entries.compose_run(overrides).scale.name
    table = costs_table(rows, f"Costs, scale {scale}, {cfg.data.name}, on {describe_device()}")
    text = markdown_costs(table, [*NOTES, f"Published: {source()}"])
    write_text(bench.folder / "costs.md", text)
    say(f"written: {bench.folder}/costs.md")
    return table


def _reported(row: Row) -> Row:
    say(f"{row.name}: {'; '.join(row.failures) or 'done'}")
    return row


def _record(bench: Bench, overrides: list[str], known: dict[str, dict]) -> dict:
    run = entries.compose_run(overrides)
    net = entries.plain(run)["model"]["net"]
    kind, name = entries.kind_of(run)
    identity = entries.fingerprint(net, list(bench.batch_sizes), describe_device())
    if known.get(identity, {}).get("status") == "finished":
        return known[identity]
    place = bench.output / "costs" / f"{name}_{identity[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with only_writer(place, timeout=-1):
            arguments = ["costs", str(place / "costs.json"), bench.sizes, *overrides]
            run_child(MEASURE, arguments, place / "log.txt")
            outcome = {"status": "finished", **json.loads((place / "costs.json").read_text())}
    except EntryError as error:
        outcome = {"status": "failed", "reason": str(error)}
    record = {
        "kind": "costs",
        "fingerprint": identity,
        "code": entries.code_version(),
        "name": name,
        "kind_of_entry": kind,
        "data": run.data.name,
        "scale": run.scale.name,
        "in_shape": list(run.data.in_shape),
        "recorded": now(),
        **outcome,
    }
    records.append(bench.records, record)
    return record
