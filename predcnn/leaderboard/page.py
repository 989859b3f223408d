"""The leaderboard as one HTML page that loads nothing but the images next to it.

Records may come from others, so the template escapes every value; ids, links and file names are
slugs.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from predcnn.leaderboard.boards import Board, EntryRow
from predcnn.leaderboard.columns import columns_of, published_table, table_of
from predcnn.leaderboard.names import ROOT
from predcnn.leaderboard.protocol import PUBLISHED, data_name, protocol, summary, title
from predcnn.leaderboard.published import Published, published_numbers, source
from predcnn.leaderboard.robustness import Robustness

TEMPLATE = Path(__file__).with_name("template")
KINDS = {"translator": "SimVP", "model": "other models", "baseline": "baselines"}
UNITS = {"params": 1e6, "macs": 1e9, "inference_memory": 1e6}
"""Column -> its unit; the plots divide by it."""


@dataclass(frozen=True)
class Gallery:
    """Clips of one length and size (height, width); ``shown`` holds a slug and a label of each."""

    past: int
    future: int
    size: tuple[int, int]
    shown: tuple[tuple[str, str], ...]


def page(
    boards: Sequence[Board],
    galleries: Mapping[str, Gallery],
    footer: str,
    folder: Path,
    robust: Sequence[Robustness] = (),
) -> str:
    """Render the page of ``folder``: a tab per board, with its gallery by the board's key.

    ``robust`` are the tables of tests with noise; each has a tab too.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    files = {
        name: Markup((TEMPLATE / name).read_text(encoding="utf-8"))
        for name in ("style.css", "charts.js", "page.js")
    }
    names = [data_name(board) for board in boards]
    return environment.get_template("page.html").render(
        boards=boards,
        # two boards of one data set show their full titles
        tabs=[n if names.count(n) == 1 else title(b) for n, b in zip(names, boards, strict=True)],
        data=[_plotted(board) for board in boards],
        galleries=galleries,
        robust=robust,
        files=files,
        kinds=KINDS,
        footer=footer,
        about_published=PUBLISHED,
        source=source(),
        title=title,
        summary=summary,
        protocol=protocol,
        table_of=table_of,
        published_table=published_table,
        comparable=_comparable,
        code=lambda row: _code(row, folder),
        dump=lambda config: yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    )


def _code(row: EntryRow, folder: Path) -> str | None:
    """Return a link to the source file of an entry, if the page lies in the same checkout."""
    if row.about.code is None or not folder.resolve().is_relative_to(ROOT):
        return None
    return Path(os.path.relpath(row.about.code, folder.resolve())).as_posix()


def _plotted(board: Board) -> dict:
    """Return the numbers that the charts draw of a board."""
    axes = [
        {"key": c.key, "title": c.title, "higher": c.higher, "unit": UNITS.get(c.key, 1)}
        for c in columns_of(board)
        if c.key != "seeds"
    ]
    keys = ("slug", "label", "kind", "rank", "tags", "eligible", "curves")
    rows = [
        {
            **{key: getattr(row, key) for key in keys},
            "values": {key: value.mean for key, value in row.values.items()},
            "histories": _histories(row),
        }
        for row in board.rows
    ]
    return {
        "metrics": [axis for axis in axes if axis["key"] in board.definitions],
        "axes": axes,
        "rows": rows,
        "published": [_published(row) for row in board.published if _comparable(board)],
    }


def _comparable(board: Board) -> bool:
    """Return whether the runs follow the protocol of the published results."""
    full = board.scale == "published" and board.budget_minutes is None
    return full and board.data["protocol"] == "openstl"


def _published(row: Published) -> dict:
    """Return the point of a published row: both count multiply–adds, theirs also norms."""
    renamed = {"macs_published": "macs"}
    values = {renamed.get(key, key): number for key, number in published_numbers(row).items()}
    return {"label": f"{row.label}, {row.epochs} epochs", "kind": "published", "values": values}


def _histories(row: EntryRow) -> list[dict]:
    """Return the validation MSE of every seed by step."""
    found = []
    for run in row.finished:
        steps, values = (run["history"].get("val/mse") or [[], []])[:2]
        points = [[s + 1, v] for s, v in zip(steps, values, strict=False) if None not in (s, v)]
        if points:
            found.append({"label": f"seed {run['seed']}", "points": points})
    return found
