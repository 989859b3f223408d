"""One table of numbers, rendered for the terminal, Markdown, CSV and the page's template."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
    """One column: a key of ``Row.values``, its title, and a sentence about it.

    ``show`` formats a mean or a standard deviation in the unit of the column. ``higher`` tells
    whether more is better; None: nothing is ranked.
    """

    key: str
    title: str
    show: Callable[[float], str]
    higher: bool | None = None
    about: str = ""

    @property
    def heading(self) -> str:
        """The title with an arrow towards better values."""
        return self.title + {True: " ↑", False: " ↓", None: ""}[self.higher]

    def text(self, value: Value | None) -> str:
        """Return a cell: mean ± sd over seeds."""
        if value is None:
            return "–"
        spread = "" if value.sd is None else f" ± {self.show(value.sd)}"
        return self.show(value.mean) + spread


def scaled(unit: float, digits: int) -> Callable[[float], str]:
    """Return a format of numbers in a unit."""
    return lambda number: f"{number / unit:,.{digits}f}"


@dataclass(frozen=True)
class Row:
    """One row: a name that is unique in its table, values by column, reasons of failed runs.

    ``kind`` is "translator", "model", "reference" (a baseline without a model) or "published".
    """

    name: str
    kind: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """Text of a cell, its number, and 1 or 2 for the best and second best of its column."""

    text: str
    number: float | None
    place: int


@dataclass(frozen=True)
class Table:
    """Rows and columns with a title."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    first: str = "model"

    def cells(self) -> Iterator[tuple[Row, list[Cell]]]:
        """Yield every row with its cells."""
        places = {
            column.key: ranks(self.rows, column.key, column.higher)
            for column in self.columns
            if column.higher is not None
        }
        for row in self.rows:
            cells = []
            for column in self.columns:
                value = row.values.get(column.key)
                place = places.get(column.key, {}).get(row.name, 0)
                cells.append(Cell(column.text(value), value and value.mean, place))
            yield row, cells

    def terminal(self, width: int) -> RichTable:
        """Render for a terminal of ``width`` characters; the last columns give way."""
        lines = [(_label(row), cells) for row, cells in self.cells()]
        name = max(len(text) for text in (self.first, *(label for label, _ in lines)))
        name = min(name, width // 3)
        used, shown = name + 4, 0
        for i, column in enumerate(self.columns):
            used += max(len(t) for t in (column.heading, *(c[i].text for _, c in lines))) + 3
            shown = i + 1 if used <= width else shown
        hidden = [column.title for column in self.columns[shown:]]
        caption = f"too narrow for: {', '.join(hidden)}" if hidden else None
        table = RichTable(title=Text(self.title), title_justify="left", caption=caption)
        table.add_column(self.first, no_wrap=True, overflow="ellipsis", max_width=name)
        for column in self.columns[:shown]:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for label, cells in lines:
            table.add_row(Text(label), *(Text(c.text, TERMINAL[c.place]) for c in cells[:shown]))
        return table

    def markdown(self) -> str:
        """Render as Markdown; the best of a column is bold, the second best underlined."""
        head = [self.first, *(escaped(column.heading) for column in self.columns)]
        lines = [_line(head), _line(["---"] + ["---:"] * len(self.columns))]
        for row, cells in self.cells():
            name = escaped(row.name)
            name = f"*{name}*" if row.kind == "reference" else name
            lines.append(_line([name, *(MARKDOWN[c.place].format(c.text) for c in cells)]))
        return "\n".join(lines)


def _label(row: Row) -> str:
    return f"{row.name} (failed)" if row.failures else row.name


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
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _inert(value) for key, value in row.items()})
    return text.getvalue()


def _inert(value: object) -> object:
    computed = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if computed else value


def ranks(rows: Iterable[Row], key: str, higher_is_better: bool) -> dict[str, int]:
    """Return the names of the best (1) and second best (2) rows with weights; ties share."""
    means = {row.name: row.values[key].mean for row in rows if _learns(row) and key in row.values}
    order = sorted(set(means.values()), reverse=higher_is_better)[:2]
    return {name: order.index(mean) + 1 for name, mean in means.items() if mean in order}


def _learns(row: Row) -> bool:
    return "params" in row.values and row.values["params"].mean > 0
