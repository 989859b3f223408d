"""A board as text: for the terminal, Markdown and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from rich.table import Table

from predcnn.leaderboard.columns import Column, columns_of
from predcnn.leaderboard.published import Published, source
from predcnn.leaderboard.standings import Board, Row, ranks
from predcnn.leaderboard.words import PUBLISHED, protocol, title

PUBLISHED_KEYS = {
    "mse": "mse", "mae": "mae", "ssim": "ssim_openstl", "psnr": "psnr", "params_millions": "params",
    "flops_billions": "macs_published",
}  # fmt: skip
"""Attribute of a published row -> key of the column that means the same."""
_UNITS = {"params_millions": 1e6, "flops_billions": 1e9}


def terminal(board: Board) -> Table:
    """A table for the terminal; the best of a column is bold, the second best underlined."""
    table = Table(title=title(board), title_justify="left", caption_justify="left")
    columns = columns_of(board)
    table.add_column("model")
    for column in columns:
        table.add_column(column.title + column.arrow, justify="right")
    table.add_column("seeds", justify="right")
    styles = {1: "[bold]{}[/bold]", 2: "[underline]{}[/underline]"}
    for row, cells in _cells(board, columns, styles):
        name = f"{row.name} (failed)" if row.failures else row.name
        table.add_row(name, *cells, str(len(row.seeds) or "–"))
    return table


def _cells(
    board: Board, columns: Sequence[Column], styles: dict[int, str]
) -> Iterable[tuple[Row, list[str]]]:
    """Every row with its cells, the first two ranks of a column dressed in ``styles``."""
    places = {
        column.key: ranks(board.rows, column.key, column.higher)
        for column in columns
        if column.higher is not None
    }
    for row in board.rows:
        cells = []
        for column in columns:
            text = column.text(row.values.get(column.key))
            place = places.get(column.key, {}).get(row.name)
            cells.append(styles[place].format(text) if place in styles else text)
        yield row, cells


def markdown(boards: Sequence[Board]) -> str:
    """All boards as Markdown: protocol, table, failures, and the published rows apart."""
    parts = ["# Leaderboard\n"]
    for board in boards:
        parts.append(f"## {title(board)}\n")
        parts.append("\n".join(f"- {sentence}" for sentence in protocol(board)) + "\n")
        parts.append(_board_table(board))
        parts += [f"- {name}: {board.definitions[name]}" for name in board.metrics]
        failed = [(row.name, reason) for row in board.rows for reason in row.failures]
        if failed:
            parts.append("\nFailed:\n")
            parts += [f"- {name}, {reason}" for name, reason in failed]
        if board.published:
            parts.append(f"\n### Published results on {board.data['name']}\n")
            parts.append(f"{PUBLISHED} Source: {source()}.\n")
            parts.append(_published_table(board.published))
        parts.append("")
    return "\n".join(parts)


def _board_table(board: Board) -> str:
    columns = columns_of(board)
    head = ["model", *(column.title + column.arrow for column in columns), "seeds"]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for row, cells in _cells(board, columns, {1: "**{}**", 2: "<u>{}</u>"}):
        name = f"*{row.name}*" if row.kind == "reference" else row.name
        lines.append(_line([name, *cells, str(len(row.seeds) or "–")]))
    return "\n".join([*lines, "\nBold: best of its column; underlined: second best.\n"])


def _published_table(rows: Iterable[Published]) -> str:
    head = ["published", "epochs", "MSE ↓", "MAE ↓", "SSIM (range 2) ↑", "PSNR ↑", "params (M)",
            "FLOPs (G)", "V100 seq/s"]  # fmt: skip
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for row in rows:
        numbers = (row.epochs, row.mse, row.mae, row.ssim, row.psnr, row.params_millions,
                   row.flops_billions, row.fps_v100)  # fmt: skip
        lines.append(_line([row.label, *("–" if n is None else f"{n:g}" for n in numbers)]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_csv(boards: Sequence[Board]) -> str:
    """All rows of all boards, numbers unrounded in base units, published rows marked as such."""
    shown = [column.key for board in boards for column in columns_of(board)]
    keys = list(dict.fromkeys([*shown, *PUBLISHED_KEYS.values(), "training_memory"]))
    head = ["board", "data", "protocol", "scale", "budget_minutes", "kind", "name", "seeds",
            "epochs", "failures"]  # fmt: skip
    for key in keys:
        head += [key, f"{key}_sd"]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    for board in boards:
        same = {"board": board.key, "data": board.data["name"]}
        ours = {"protocol": board.data["protocol"], "scale": board.scale,
                "budget_minutes": board.budget_minutes}  # fmt: skip
        for row in board.rows:
            numbers = {}
            for key, value in row.values.items():
                numbers |= {key: value.mean, f"{key}_sd": value.sd}
            about = {"kind": row.kind, "name": row.name, "seeds": " ".join(map(str, row.seeds))}
            known = {key: number for key, number in numbers.items() if key in head}
            writer.writerow({**same, **ours, **about, "failures": "; ".join(row.failures), **known})
        for row in board.published:
            about = {"kind": "published", "name": row.label, "epochs": row.epochs}
            writer.writerow({**same, **about, **published_numbers(row)})
    return text.getvalue()


def published_numbers(row: Published) -> dict[str, float]:
    """The numbers of a published row by the keys of our columns, in our units."""
    found = {}
    for attribute, key in PUBLISHED_KEYS.items():
        number = getattr(row, attribute)
        if number is not None:
            found[key] = number * _UNITS.get(attribute, 1)
    return found
