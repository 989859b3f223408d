"""The columns of a board, and a board as tables, Markdown and CSV."""

from collections.abc import Iterator, Mapping, Sequence

from predcnn.leaderboard.boards import Board
from predcnn.leaderboard.protocol import PUBLISHED, protocol, title
from predcnn.leaderboard.published import KEYS, Published, published_numbers, source
from predcnn.leaderboard.table import Column, Row, Table, Value, csv_text, escaped, scaled
from predcnn.metrics import METRICS

TITLES = {"mse": "MSE", "mae": "MAE", "rmse": "RMSE", "ssim": "SSIM", "psnr": "PSNR",
          "ssim_openstl": "SSIM (range 2)", "lpips": "LPIPS"}  # fmt: skip
DIGITS = {"ssim": 4, "ssim_openstl": 4, "lpips": 4}
FACTS = ("board", "data", "protocol", "scale", "budget_minutes", "kind", "rank", "name", "label",
         "tags", "seeds", "epochs", "failures")  # fmt: skip


def columns_of(board: Board) -> list[Column]:
    """Return the columns of a board, metrics first."""
    found = []
    for name, about in board.definitions.items():
        higher = METRICS[name].higher_is_better if name in METRICS else None
        show = scaled(1, DIGITS.get(name, 2))
        main = name != "ssim_openstl" or board.data["protocol"] == "openstl"
        found.append(Column(name, TITLES.get(name, name), show, higher, about, main))
    macs = "Multiply–adds of one sequence: convolutions, linear maps, matrix products."
    found += [
        Column("params", "params (M)", scaled(1e6, 2), False, "Parameters that exist."),
        Column("macs", "FLOPs (G)", scaled(1e9, 3), False, macs),
    ]
    speeds = list(zip(("speed", "speed_batched"), board.speeds, strict=False))
    for key, speed in speeds:
        size, heading = speed["batch_size"], f"seq/s (batch {speed['batch_size']})"
        about = f"Sequences per second after warm-up, batch {size}, on {speed['device']}."
        found.append(Column(key, heading, scaled(1, 1), True, about, main=key == "speed"))
    memory = "Peak memory of one pass of the larger batch, without weights and input."
    found.append(Column("inference_memory", "memory (MB)", scaled(1e6, 0), False, memory, False))
    for key, heading, digits, about in (
        ("steps", "steps", 0, "Optimizer steps that the schedule spans."),
        ("sequences", "sequences", 0, "Training sequences seen."),
        ("cpu_min", "CPU min", 1, "Processor minutes of the training steps, all threads."),
        ("wall_min", "wall min", 1, "Wall minutes of the training steps."),
        ("seeds", "seeds", 0, "Finished runs."),
    ):
        found.append(Column(key, heading, scaled(1, digits), None, about, main=False))
    return found


def table_of(board: Board) -> Table:
    """Return the table of a board."""
    return Table(title(board), columns_of(board), board.rows)


def published_table(rows: Sequence[Published]) -> Table:
    """Return the published rows as a table of their own, in their units."""
    columns = [
        Column(key, heading, lambda number: f"{number:g}")
        for key, heading in (
            ("epochs", "epochs"), ("mse", "MSE ↓"), ("mae", "MAE ↓"), ("ssim", "SSIM (range 2) ↑"),
            ("psnr", "PSNR ↑"), ("params_millions", "params (M)"),
            ("flops_billions", "FLOPs (G)"), ("fps_v100", "V100 seq/s"),
        )
    ]  # fmt: skip
    lines = []
    for row in rows:
        numbers = {column.key: getattr(row, column.key) for column in columns}
        values = {key: Value(number) for key, number in numbers.items() if number is not None}
        lines.append(Row(row.label, values=values))
    return Table("", columns, lines, first="published")


def markdown(boards: Sequence[Board]) -> str:
    """Render all boards as Markdown: table, protocol, failures, and the published rows."""
    parts = ["# Leaderboard\n"]
    for board in boards:
        parts.append(f"## {escaped(title(board))}\n")
        parts.append(table_of(board).markdown())
        parts.append("\nBold: best of its column; underlined: second best.\n")
        parts += [f"- {escaped(sentence)}" for sentence in protocol(board)]
        parts += [f"- {escaped(m)}: {escaped(text)}" for m, text in board.definitions.items()]
        parts += [
            f"- Failed: {escaped(row.label or row.name)}, {escaped(reason)}"
            for row in board.rows
            for reason in row.failures
        ]
        if board.published:
            parts.append(f"\n### Published results on {escaped(board.data['name'])}\n")
            parts.append(f"{PUBLISHED} Source: {source()}.\n")
            parts.append(published_table(board.published).markdown())
        parts.append("")
    return "\n".join(parts)


def as_csv(boards: Sequence[Board]) -> str:
    """Render all rows as CSV, numbers unrounded in base units, published rows marked as such."""
    shown = [column.key for board in boards for column in columns_of(board)]
    keys = dict.fromkeys([*shown, *KEYS.values(), "training_memory"])
    head = [*FACTS, *(name for key in keys if key != "seeds" for name in (key, f"{key}_sd"))]
    return csv_text(head, (line for board in boards for line in _csv_rows(board)))


def _csv_rows(board: Board) -> Iterator[Mapping[str, object]]:
    about = {"board": board.key, "data": board.data["name"]}
    for row in board.rows:
        yield {
            **{key: value.mean for key, value in row.values.items()},
            **{f"{key}_sd": value.sd for key, value in row.values.items()},
            **about,
            "protocol": board.data["protocol"],
            "scale": board.scale,
            "budget_minutes": board.budget_minutes,
            **{key: getattr(row, key) for key in ("kind", "rank", "name", "label")},
            "tags": "; ".join(row.tags),
            "seeds": " ".join(map(str, sorted(run["seed"] for run in row.finished))),
            "failures": "; ".join(row.failures),
        }
    for row in board.published:
        kind = {"kind": "published", "name": row.label, "epochs": row.epochs}
        yield {**about, **kind, **published_numbers(row)}
