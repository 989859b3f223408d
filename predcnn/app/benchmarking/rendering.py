"""From the records of a benchmark to its tables, its page and its pictures."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from rich.console import Console

from predcnn.app.benchmarking.entries import Entry
from predcnn.app.benchmarking.running import Bench, now
from predcnn.app.console import say
from predcnn.app.files import write_text
from predcnn.app.results import split_values
from predcnn.data import to_float
from predcnn.leaderboard import gallery, records
from predcnn.leaderboard.html import page
from predcnn.leaderboard.standings import Board, boards
from predcnn.leaderboard.tables import as_csv, markdown, terminal
from predcnn.metrics import video_metrics


def render(bench: Bench, folder: Path) -> None:
    """Print a table per board and write leaderboard.{md,csv,html} and the galleries.

    Raises:
        ValueError: there is no record of a run yet.
    """
    content = records.read(bench.records)
    if content.damaged:
        say(f"{bench.records}: lines {content.damaged} are damaged and left out (a killed writer)")
    made = boards(content.rows)
    if not made:
        raise ValueError(f"no run is recorded in {bench.records}")
    console = Console(width=None if Console().is_terminal else 220)
    films = {}
    for board in made:
        console.print(terminal(board))
        found = _films(bench, board)
        films[board.key] = {name: gallery.gif_bytes(pages) for name, pages in found.items()}
        if found:
            gallery.write_gallery(folder / f"gallery-{board.key}.gif", found)
    write_text(folder / "leaderboard.md", markdown(made))
    write_text(folder / "leaderboard.csv", as_csv(made))
    day = datetime.date.today().isoformat()
    count = sum(len(board.runs) for board in made)
    write_text(folder / "leaderboard.html", page(made, films, f"Made {day} from {count} runs."))
    say(f"tables and page: {folder}/leaderboard.md, .csv, .html")


def _films(bench: Bench, board: Board) -> dict[str, list[np.ndarray]]:
    """The shown test sequence: the truth, then what every row's first run made of it."""
    films: dict[str, list[np.ndarray]] = {}
    missing = []
    for row in board.rows:
        run = next((run for run in row.runs if run["status"] == "finished"), None)
        if run is None:
            continue
        path = bench.output / run["files"]["sequence"]
        if not path.exists():
            missing.append(row.name)
            continue
        with np.load(path) as frames:
            films.setdefault("truth", gallery.film(frames["past"], frames["truth"]))
            films[row.name] = gallery.film(frames["past"], frames["prediction"])
    if missing:
        say(f"no stored prediction, so no film, of {', '.join(missing)}")
    return films


def record_references(bench: Bench, entries: Sequence[Entry]) -> None:
    """Test an all-black prediction on every test set of the entries that has no such line yet.

    LPIPS is left out: it needs its network.
    """
    known = records.newest(records.read(bench.records).rows, "reference")
    for entry in entries:
        if entry.test_fingerprint in known:
            continue
        names = [name for name in entry.cfg.metrics if name != "lpips"]
        meters = video_metrics([*names, *(f"{name}_per_frame" for name in names)])
        datamodule = instantiate(entry.cfg.data)
        for batch in datamodule.test_dataloader():
            future = to_float(batch)[:, datamodule.frames_in :]
            meters.update(torch.zeros_like(future), future)
        values = {name: value.tolist() for name, value in meters.compute().items()}
        known[entry.test_fingerprint] = {
            "kind": "reference",
            "fingerprint": entry.test_fingerprint,
            "name": "all_black",
            "results": split_values(values, names),
            "recorded": now(),
        }
        records.append(bench.records, known[entry.test_fingerprint])
