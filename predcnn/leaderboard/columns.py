"""The columns of a board, and a board as tables, Markdown and CSV."""

from collections.abc import Iterator, Mapping, Sequence

from predcnn.leaderboard.boards import Board, EntryRow
from predcnn.leaderboard.protocol import PUBLISHED, protocol, title
from predcnn.leaderboard.published import KEYS, Published, published_numbers, source
from predcnn.leaderboard.table import Column, Row, Table, Value, csv_text, escaped, scaled
from predcnn.metrics import METRICS

TITLES = {"mse": "MSE", "mae": "MAE", "rmse": "RMSE", "ssim": "SSIM", "psnr": "PSNR",
          "ssim_openstl": "SSIM (range 2)", "lpips": "LPIPS"}  # fmt: skip
DIGITS = {"ssim": 4, "ssim_openstl": 4, "lpips": 4}
FACTS = ("board", "data", "protocol", "scale", "budget_minutes", "kind", "name", "seeds", "epochs",
         "failures")  # fmt: skip


def columns_of(board: Board) -> list[Column]:
    """Return the columns of a board, metrics first."""
    device = board.speeds[0]["device"] if board.speeds else ""
    found = [
        Column(
            name,
            TITLES.get(name, name),
            scaled(1, DIGITS.get(name, 2)),
            METRICS[name].higher_is_better if name in METRICS else None,
            board.definitions[name],
        )
        for name in board.metrics
    ]
    found += [
        Column("params", "params (M)", scaled(1e6, 2), False, "Parameters that exist."),
        Column("macs", "FLOPs (G)", scaled(1e9, 3), False,
               "Multiply–adds of one sequence: convolutions, linear maps, matrix products."),
    ]  # fmt: skip
    for key, speed in zip(("speed", "speed_batched"), board.speeds, strict=False):
        size = speed["batch_size"]
        about = f"Sequences per second in eval mode after warm-up, batch {size}, on {device}."
        found.append(Column(key, f"seq/s (batch {size})", scaled(1, 1), True, about))
    memory = (
        "Peak memory of the tensors that predicting one batch of the larger size adds to weights "
        "and input."
    )
    cpu = "Processor minutes of the training steps, all threads."
    found += [
        Column("inference_memory", "memory (MB)", scaled(1e6, 0), False, memory),
        Column("steps", "steps", scaled(1, 0), None, "Optimizer steps that the schedule spans."),
        Column("sequences", "sequences", scaled(1, 0), None, "Training sequences seen."),
        Column("cpu_min", "CPU min", scaled(1, 1), None, cpu),
        Column("wall_min", "wall min", scaled(1, 1), None, "Wall minutes of the training steps."),
        Column("seeds", "seeds", scaled(1, 0), None, "Finished runs."),
    ]
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
    lines = [
        Row(row.label, "published", {
            column.key: Value(number)
            for column in columns
            if (number := getattr(row, column.key)) is not None
        })
        for row in rows
    ]  # fmt: skip
    return Table("", columns, lines, first="published")


def markdown(boards: Sequence[Board]) -> str:
    """Render all boards as Markdown: protocol, table, failures, and the published rows."""
    parts = ["# Leaderboard\n"]
    for board in boards:
        parts.append(f"## {escaped(title(board))}\n")
        parts.append("\n".join(f"- {escaped(sentence)}" for sentence in protocol(board)) + "\n")
        parts.append(table_of(board).markdown())
        parts.append("\nBold: best of its column; underlined: second best.\n")
        parts += [f"- {escaped(m)}: {escaped(board.definitions[m])}" for m in board.metrics]
        failed = [(row.name, reason) for row in board.rows for reason in row.failures]
        if failed:
            parts.append("\nFailed:\n")
            parts += [f"- {escaped(name)}, {escaped(reason)}" for name, reason in failed]
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
    ours = {"protocol": board.data["protocol"], "scale": board.scale,
            "budget_minutes": board.budget_minutes}  # fmt: skip
    for row in board.rows:
        yield {
            **_spread(row),
            **about,
            **ours,
            "kind": row.kind,
            "name": row.name,
            "seeds": " ".join(map(str, row.seeds)),
            "failures": "; ".join(row.failures),
        }
    for row in board.published:
        kind = {"kind": "published", "name": row.label, "epochs": row.epochs}
        yield {**about, **kind, **published_numbers(row)}


def _spread(row: EntryRow) -> dict[str, object]:
    """Return mean and standard deviation of every value."""
    found: dict[str, object] = {}
    for key, value in row.values.items():
        found |= {key: value.mean, f"{key}_sd": value.sd}
    return found
