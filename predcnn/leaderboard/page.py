"""The leaderboard as one HTML page that loads nothing else: no network, no other file.

Records are data of others: the template escapes every value, and ids and links are slugs.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from predcnn.leaderboard.boards import Board, EntryRow, unique_slug
from predcnn.leaderboard.columns import columns_of, table_of
from predcnn.leaderboard.protocol import PUBLISHED, protocol, title
from predcnn.leaderboard.published import Published, published_numbers, source
from predcnn.leaderboard.table import Row, Table, Value

TEMPLATE = Path(__file__).with_name("template")
KINDS = {
    "translator": "SimVP translators",
    "model": "other models",
    "reference": "baselines without a model",
    "published": "published rows",
}


def page(boards: Sequence[Board], gifs: Mapping[str, Mapping[str, bytes]], made: str) -> str:
    """Render the page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    files = {
        name: Markup((TEMPLATE / name).read_text(encoding="utf-8"))
        for name in ("style.css", "charts.js", "page.js")
    }
    taken = {board.key for board in boards}
    views = [_view(board, gifs.get(board.key, {}), taken) for board in boards]
    return environment.get_template("page.html").render(
        boards=views,
        data=[view.pop("plotted") for view in views],
        files=files,
        kinds=KINDS,
        made=made,
        published=PUBLISHED,
        source=source(),
    )


def _view(board: Board, gifs: Mapping[str, bytes], taken: set[str]) -> dict:
    """Return what the template shows of a board."""
    table = table_of(board)
    names = dict.fromkeys([*(row.name for row in board.rows if row.runs), *gifs])
    anchors = {name: unique_slug(f"{board.key}-{name}", taken) for name in names}
    published = Table("", table.columns, [_published_row(row) for row in board.published])
    return {
        "key": board.key,
        "title": title(board),
        "protocol": protocol(board),
        "definitions": board.definitions,
        "table": table,
        "published": published,
        "anchors": anchors,
        "gifs": {name: base64.b64encode(gif).decode() for name, gif in gifs.items()},
        "configs": {
            row.name: yaml.safe_dump(row.finished[0]["config"], sort_keys=False, allow_unicode=True)
            for row in board.rows
            if row.finished
        },
        "plotted": _plotted(board, published, anchors),
    }


def _published_row(row: Published) -> Row:
    """Return a published row on our axes: both count multiply–adds, theirs also norms."""
    numbers = published_numbers(row)
    numbers["macs"] = numbers.pop("macs_published", None)
    values = {key: Value(number) for key, number in numbers.items() if number}
    return Row(f"{row.label}, {row.epochs} epochs", "published", values)


def _plotted(board: Board, published: Table, anchors: Mapping[str, str]) -> dict:
    """Return the numbers that the charts draw of a board."""
    rows = [
        {
            "name": row.name,
            "kind": row.kind,
            "values": {key: value.mean for key, value in row.values.items()},
            "curves": getattr(row, "curves", {}),
            "histories": _histories(row) if isinstance(row, EntryRow) else [],
            "entry": anchors.get(row.name) if row.kind != "published" else None,
        }
        for row in [*board.rows, *published.rows]
    ]
    metrics = [
        {"key": c.key, "title": c.title, "higher": bool(c.higher)}
        for c in columns_of(board)
        if c.key in board.metrics
    ]
    return {"metrics": metrics, "rows": rows}


def _histories(row: EntryRow) -> list[dict]:
    """Return the validation MSE of every seed by step."""
    found = []
    for run in row.finished:
        steps, values = (run["history"].get("val/mse") or [[], []])[:2]
        points = [[s + 1, v] for s, v in zip(steps, values, strict=False) if None not in (s, v)]
        if points:
            found.append({"name": f"seed {run['seed']}", "points": points})
    return found
