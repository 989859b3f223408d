"""Costs beside the published ones: ours | published | difference."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from predcnn.leaderboard.published import published

ROUNDING = 0.05
"""Published parameters and FLOPs are rounded to a tenth of a million and of a billion."""


@dataclass(frozen=True)
class Costs:
    """One line of the cost table, in millions and billions; None: not published, not measured.

    Attributes:
        name: of the translator or model.
        kind: "translator" or "model".
        params: with the parameters that the published code has and never uses.
        params_published: of the published table.
        flops: multiply–adds by the counting rules of the published tables.
        flops_published: of the published table.
        macs: multiply–adds, complete.
        speeds: batch size -> sequences per second.
        memory: peak bytes of predicting the largest batch.
        failure: why there are no numbers.
    """

    name: str
    kind: str
    params: float | None = None
    params_published: float | None = None
    flops: float | None = None
    flops_published: float | None = None
    macs: float | None = None
    speeds: tuple[tuple[int, float], ...] = ()
    memory: int | None = None
    failure: str | None = None


def costs_of(record: dict) -> Costs:
    """The line of a record of kind "costs", beside the published one if it is of that size."""
    name, kind = record["name"], record["kind_of_entry"]
    if record["status"] == "failed":
        return Costs(name, kind, failure=record["reason"])
    comparable = record["scale"] == "published" and record["in_shape"][2:] == [64, 64]
    known = published(kind, name, record["data"]) if comparable else None
    memory = record["inference_memory"]
    return Costs(
        name,
        kind,
        params=record["params_published"] / 1e6,
        params_published=known and known.params_millions,
        flops=record["macs_published"] / 1e9,
        flops_published=known and known.flops_billions,
        macs=record["macs"] / 1e9,
        speeds=tuple((s["batch_size"], s["sequences_per_second"]) for s in record["throughput"]),
        memory=memory and memory["bytes"],
    )


def difference(ours: float | None, theirs: float | None) -> str:
    """Ours minus published; "=" within the rounding of the published number."""
    if ours is None or theirs is None:
        return "–"
    gap = ours - theirs
    return "=" if abs(gap) <= ROUNDING * (1 + 1e-9) else f"{gap:+.2f}"


def _cells(row: Costs, sizes: Sequence[int]) -> list[str]:
    def text(value: float | None, digits: int = 2) -> str:
        return "–" if value is None else f"{value:,.{digits}f}"

    speeds = dict(row.speeds)
    return [
        text(row.params),
        text(row.params_published, 1),
        difference(row.params, row.params_published),
        text(row.flops),
        text(row.flops_published, 1),
        difference(row.flops, row.flops_published),
        text(row.macs, 3),
        *(text(speeds.get(size)) for size in sizes),
        text(None if row.memory is None else row.memory / 1e6, 0),
    ]


def _head(sizes: Sequence[int]) -> list[str]:
    return [
        "model", "params (M)", "published", "difference", "FLOPs (G)", "published", "difference",
        "MACs (G)", *(f"seq/s (batch {size})" for size in sizes), "memory (MB)",
    ]  # fmt: skip


def _sizes(rows: Sequence[Costs]) -> list[int]:
    return sorted({size for row in rows for size, _ in row.speeds})


def terminal_costs(rows: Sequence[Costs], title: str) -> Table:
    """The cost table for the terminal."""
    sizes = _sizes(rows)
    table = Table(title=title, title_justify="left")
    for i, head in enumerate(_head(sizes)):
        table.add_column(head, justify="right" if i else "left")
    for row in rows:
        cells = [f"failed: {row.failure}"] if row.failure else _cells(row, sizes)
        table.add_row(row.name, *cells)
    return table


def markdown_costs(rows: Sequence[Costs], title: str, notes: Sequence[str]) -> str:
    """The cost table as Markdown with notes below."""
    sizes = _sizes(rows)
    head = _head(sizes)
    lines = [f"# {title}", "", f"| {' | '.join(head)} |"]
    lines.append(f"| --- |{' ---: |' * (len(head) - 1)}")
    for row in rows:
        cells = _cells(row, sizes)
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    lines += ["", *(f"- {note}" for note in notes)]
    lines += [f"- {row.name} failed: {row.failure}" for row in rows if row.failure]
    return "\n".join(lines) + "\n"


def csv_costs(rows: Sequence[Costs]) -> str:
    """The cost table as CSV, in millions, billions, sequences per second and bytes."""
    text = io.StringIO()
    sizes = _sizes(rows)
    speeds = [f"sequences_per_second_batch_{size}" for size in sizes]
    plain = ["name", "kind", "params", "params_published", "flops", "flops_published", "macs",
             "memory", "failure"]  # fmt: skip
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, *speeds])
    for row in rows:
        known = dict(row.speeds)
        cells = [getattr(row, key) for key in plain] + [known.get(size) for size in sizes]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()
