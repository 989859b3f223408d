"""From the records of a benchmark to its tables, its page and its galleries."""

import datetime
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from rich.console import Console

from predcnn.data import to_float
from predcnn.files import finite, write_text
from predcnn.leaderboard import gallery, records
from predcnn.leaderboard.boards import Board, EntryRow, boards
from predcnn.leaderboard.columns import as_csv, markdown, table_of
from predcnn.leaderboard.entries import Entry
from predcnn.leaderboard.page import page
from predcnn.leaderboard.processes import say
from predcnn.leaderboard.runs import Bench, now
from predcnn.leaderboard.table import Table
from predcnn.metrics import video_metrics
from predcnn.metrics.collection import PER_FRAME, split_values

UNLIMITED = 220  # characters of a line where no terminal limits it


def show(table: Table) -> None:
    """Print a table as wide as COLUMNS or the terminal allow."""
    width = shutil.get_terminal_size((UNLIMITED, 24)).columns
    Console(width=width).print(table.terminal(width))


def render(bench: Bench, folder: Path) -> None:
    """Print a table per board and write leaderboard.{md,csv,html} and the galleries."""
    content = records.read(bench.records)
    for warning in content.warnings(bench.records):
        say(warning)
    made = boards(content.rows)
    if not made:
        raise ValueError(f"no run is recorded in {bench.records}")
    gifs = {}
    for board in made:
        show(table_of(board))
        clips = _clips(bench, board)
        gifs[board.key] = {name: gallery.gif_bytes(frames) for name, frames in clips.items()}
        if clips:
            gallery.write_gallery(folder / f"gallery-{board.key}.gif", clips)
    write_text(folder / "leaderboard.md", markdown(made))
    write_text(folder / "leaderboard.csv", as_csv(made))
    day = datetime.date.today().isoformat()
    count = sum(len(board.runs) for board in made)
    write_text(folder / "leaderboard.html", page(made, gifs, f"Made {day} from {count} runs."))
    say(f"tables and page: {folder}/leaderboard.md, .csv, .html")


def _clips(bench: Bench, board: Board) -> dict[str, list[np.ndarray]]:
    """Return the shown test sequence: the truth, then the prediction of every row's first run."""
    clips: dict[str, list[np.ndarray]] = {}
    shapes: set[tuple] = set()
    missing = []
    for row in board.rows:
        if not row.finished:
            continue
        frames = _stored(bench, row)
        if frames is None or shapes - {(frames["past"].shape, frames["truth"].shape)}:
            missing.append(row.name)
            continue
        shapes.add((frames["past"].shape, frames["truth"].shape))
        clips.setdefault("truth", gallery.clip(frames["past"], frames["truth"]))
        clips[row.name] = gallery.clip(frames["past"], frames["prediction"])
    if missing:
        say(f"no valid file of predictions, so the gallery omits: {', '.join(missing)}")
    return clips


def _stored(bench: Bench, row: EntryRow) -> dict[str, np.ndarray] | None:
    """Read past, truth and prediction of a row; None if there is no valid file of them."""
    path = bench.output / row.finished[0]["files"].get("sequence", "none")
    if not zipfile.is_zipfile(path):
        return None
    try:
        with np.load(path) as file:
            frames = {key: file[key] for key in ("past", "truth", "prediction")}
    except (KeyError, ValueError, zipfile.BadZipFile):
        return None
    valid = frames["truth"].shape == frames["prediction"].shape
    for part in frames.values():
        valid &= part.dtype == np.uint8 and part.ndim == 4 and part.shape[1] in (1, 3)
    return frames if valid else None


def record_references(bench: Bench, entries: Sequence[Entry]) -> None:
    """Test an all-black prediction on every test set of the entries that has no such record.

    LPIPS is omitted: it needs its network.
    """
    known = records.newest(records.read(bench.records).rows, "reference")
    for entry in entries:
        if entry.test_fingerprint in known:
            continue
        names = [name for name in entry.cfg.metrics if name != "lpips"]
        meters = video_metrics([*names, *(name + PER_FRAME for name in names)])
        datamodule = instantiate(entry.cfg.data)
        for batch in datamodule.test_dataloader():
            future = to_float(batch)[:, datamodule.frames_in :]
            meters.update(torch.zeros_like(future), future)
        values = {name: value.tolist() for name, value in meters.compute().items()}
        known[entry.test_fingerprint] = {
            "kind": "reference",
            "fingerprint": entry.test_fingerprint,
            "name": "all_black",
            "results": finite(split_values(values, names)),
            "recorded": now(),
        }
        records.append(bench.records, known[entry.test_fingerprint])
