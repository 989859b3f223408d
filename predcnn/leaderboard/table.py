"""One table of numbers, rendered for the terminal, Markdown, CSV and the page's template."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.table import Table as RichTable
from rich.text import Text

TERMINAL = {0: "", 1: "bold", 2: "underline"}
MARKDOWN = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}


@dataclass(frozen=True)
class Value:
    """Mean over seeds, and the sample standard deviation where there are several."""

    mean: float
    sd: float | None = None


@dataclass(frozen=True)
class Column:
    """One column: a key of ``Row.values``, its title, and a sentence about it."""

    key: str
    title: str
    show: Callable[[float], str]  # formats a mean or a deviation in the unit of the column
    higher: bool | None = None  # whether more is better; None: nothing is marked
    about: str = ""
    main: bool = True  # whether the page shows it at first

    @property
    def heading(self) -> str:
        return self.title + {True: " ↑", False: " ↓", None: ""}[self.higher]

    def text(self, value: Value | None) -> str:
        """Format a cell: mean ± sd over seeds."""
        if value is None:
            return "–"
        return self.show(value.mean) + ("" if value.sd is None else f" ± {self.show(value.sd)}")


def scaled(unit: float, digits: int) -> Callable[[float], str]:
    """Return a format of numbers in a unit."""
    return lambda number: f"{number / unit:,.{digits}f}"


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    name: str  # unique in its table
    label: str = ""  # the name to show; "": ``name``
    kind: str = ""  # "translator", "model" or "baseline" (without training)
    values: Mapping[str, Value] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    rank: str = ""  # of a trained entry, "2=" where it is shared
    tags: tuple[str, ...] = ()
    eligible: bool = False  # whether it may be marked as best

    @property
    def tagged(self) -> str:
        tags = [*self.tags, *(["failed"] if self.failures else [])]
        return (self.label or self.name) + (f" ({', '.join(tags)})" if tags else "")


class Cell(NamedTuple):
    """Text, number, and place: 1 or 2 for the best and second best of a column."""

    text: str
    number: float | None
    place: int


@dataclass(frozen=True)
class Table:
    """Rows and columns with a title; ranks are shown where a row has one."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    first: str = "model"

    @property
    def ranked(self) -> bool:
        return any(row.rank for row in self.rows)

    def cells(self) -> Iterator[tuple[Row, list[Cell]]]:
        places = {c.key: best_two(self.rows, c.key, c.higher) for c in self.columns}
        for row in self.rows:
            cells = []
            for column in self.columns:
                value, place = row.values.get(column.key), places[column.key].get(row.name, 0)
                cells.append(Cell(column.text(value), value and value.mean, place))
            yield row, cells

    def terminal(self, width: int) -> RichTable:
        """Render for a terminal of ``width`` characters; the last columns are left out first."""
        lines = list(self.cells())
        name = max(map(len, [self.first, *(row.tagged for row, _ in lines)]))
        name = min(name, width // 3)
        used, shown = name + 4 + 7 * self.ranked, 0
        for i, column in enumerate(self.columns):
            used += max(len(t) for t in (column.heading, *(c[i].text for _, c in lines))) + 3
            shown = i + 1 if used <= width else shown
        hidden = [column.title for column in self.columns[shown:]]
        caption = f"too narrow for: {', '.join(hidden)}" if hidden else None
        table = RichTable(
            title=Text(self.title), title_justify="left", caption=caption, caption_justify="left"
        )
        if self.ranked:
            table.add_column("rank", no_wrap=True)
        table.add_column(self.first, no_wrap=True, overflow="ellipsis", max_width=name)
        for column in self.columns[:shown]:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for row, cells in lines:
            first = [row.rank] if self.ranked else []
            values = (Text(c.text, TERMINAL[c.place]) for c in cells[:shown])
            table.add_row(*first, Text(row.tagged), *values)
        return table

    def markdown(self) -> str:
        """Render as Markdown; the best of a column is bold, the second best underlined."""
        ranked = ["rank"] if self.ranked else []
        head = [*ranked, self.first, *(escaped(column.heading) for column in self.columns)]
        align = ["---"] * (len(ranked) + 1) + ["---:"] * len(self.columns)
        lines = [_line(head), _line(align)]
        for row, cells in self.cells():
            name = f"*{escaped(row.tagged)}*" if row.kind == "baseline" else escaped(row.tagged)
            first = [row.rank, name] if ranked else [name]
            lines.append(_line([*first, *(MARKDOWN[c.place].format(c.text) for c in cells)]))
        return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Escape text for Markdown: names and reasons are data, not markup."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*|]|(?<=\])\()", r"\\\1", text)


def csv_text(head: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Render rows as CSV; text that a spreadsheet would compute is quoted with '."""
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writerow({key: _inert(key) for key in head})
    for row in rows:
        writer.writerow({key: _inert(value) for key, value in row.items()})
    return text.getvalue()


def _inert(value: object) -> object:
    computed = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if computed else value


def best_two(rows: Iterable[Row], key: str, higher: bool | None) -> dict[str, int]:
    """Return the names of the best (1) and second best (2) eligible rows; equal values share."""
    if higher is None:
        return {}
    means = {row.name: row.values[key].mean for row in rows if row.eligible and key in row.values}
    order = sorted(set(means.values()), reverse=higher)[:2]
    return {name: order.index(mean) + 1 for name, mean in means.items() if mean in order}
