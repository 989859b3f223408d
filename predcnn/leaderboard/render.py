"""Rendering of a benchmark's records as tables, a page and galleries."""

import datetime
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from PIL import Image
from rich.console import Console

from predcnn.data import to_float
from predcnn.files import finite, write_text
from predcnn.leaderboard import records
from predcnn.leaderboard.boards import BLACK, Board, boards
from predcnn.leaderboard.columns import as_csv, markdown, table_of
from predcnn.leaderboard.entries import Entry
from predcnn.leaderboard.page import Gallery, page
from predcnn.leaderboard.processes import say
from predcnn.leaderboard.robustness import robustness_of
from predcnn.leaderboard.runs import Bench, now
from predcnn.leaderboard.table import Table
from predcnn.metrics import video_metrics
from predcnn.metrics.collection import PER_FRAME, split_values
from predcnn.visual import drawing

MARK = 3  # rows under a frame that mark input (blue) and prediction (orange)
UNLIMITED = 220  # characters of a line where no terminal limits it


def show(table: Table) -> None:
    """Print a table as wide as COLUMNS or the terminal allow."""
    width = shutil.get_terminal_size((UNLIMITED, 24)).columns
    Console(width=width).print(table.terminal(width))


def render(bench: Bench) -> None:
    """Print a table per board and write leaderboard.{md,csv,html} and the galleries."""
    content, folder = records.read(bench.records), bench.folder
    for line, why in content.ignored.items():
        say(f"{bench.records}, line {line}: ignored, {why}")
    stored = {
        fingerprint: frames
        for fingerprint, run in records.newest(content.rows, "run").items()
        if (frames := stored_clip(bench.output / run["files"].get("sequence", "none")))
    }
    black = {
        fingerprint
        for fingerprint, frames in stored.items()
        if frames["prediction"].mean() < BLACK * frames["truth"].mean()
    }
    made, robust = boards(content.rows, black), robustness_of(content.rows)
    if not made and not robust:
        raise ValueError(f"no run is recorded in {bench.records}")
    galleries = {board.key: _draw(board, stored, folder) for board in made}
    for board in made:
        show(table_of(board))
    for tests in robust:
        show(tests.table)
    tables = markdown(made) + "".join(tests.markdown() for tests in robust)
    write_text(folder / "leaderboard.md", tables)
    write_text(folder / "leaderboard.csv", as_csv(made))
    day = datetime.date.today().isoformat()
    footer = f"Rendered {day} from {sum(len(board.runs) for board in made)} runs."
    write_text(folder / "leaderboard.html", page(made, galleries, footer, folder, robust))
    say(f"tables and page: {folder}/leaderboard.md, .csv, .html")


def _draw(board: Board, stored: dict[str, dict[str, np.ndarray]], folder: Path) -> Gallery | None:
    """Write the images of the truth and of the predictions of every row's first run."""
    shown, missing, shape = [], [], None
    for row in board.rows:
        if not row.finished:
            continue
        frames = stored.get(row.finished[0]["fingerprint"])
        if frames is None or shape not in (None, (frames["past"].shape, frames["truth"].shape)):
            missing.append(row.name)
            continue
        past, truth = frames["past"], frames["truth"]
        if shape is None:
            shape = past.shape, truth.shape
            shown.append((board.key, "Truth"))
            write_strip(folder / "clips" / f"{board.key}.png", past, truth)
        shown.append((row.slug, row.label))
        write_strip(folder / "clips" / f"{row.slug}.png", past, frames["prediction"])
    if missing:
        say(f"no valid file of predictions, so the gallery omits: {', '.join(missing)}")
    if shape is None:
        return None
    (past, *_), (future, _, *size) = shape
    return Gallery(past, future, tuple(size), tuple(shown))


def record_references(bench: Bench, entries: Sequence[Entry]) -> None:
    """Test all-black predictions on every test set without such a record, but not with LPIPS."""
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


def write_strip(path: Path, past: np.ndarray, future: np.ndarray) -> None:
    """Write a PNG of frames next to each other, input and future marked by a bar below.

    ``past`` is (T_in, C, H, W) and ``future`` (T_out, C, H, W), uint8, C 1 or 3.
    """
    pages = []
    for frames, colour in ((past, drawing.BLUE), (future, drawing.VERMILLION)):
        for frame in frames.transpose(0, 2, 3, 1).repeat(3 // frames.shape[1], axis=3):
            mark = np.broadcast_to(np.array(colour, np.uint8), (MARK, frame.shape[1], 3))
            pages.append(np.concatenate([frame, mark]))
    image = Image.fromarray(np.concatenate(pages, axis=1))
    drawing.save_png(path, image.quantize(128, dither=Image.Dither.NONE))


def stored_clip(path: Path) -> dict[str, np.ndarray] | None:
    """Read past, truth and prediction of a test sequence; None if there is no valid file."""
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
