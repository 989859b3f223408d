"""metrics.csv of a run: one row per logged step, kept through a resume.

Values whose name starts with ``timing/`` go to timing.csv, so that equal runs write equal
metrics.csv.
"""

import csv
import os
from pathlib import Path

import torch
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from predcnn.files import replacing

TIMING = "timing/"
INDEX = ("epoch", "step")


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _columns(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def _write(path: Path, columns: list[str], rows: list[dict]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _append(path: Path, row: dict[str, float | int]) -> None:
    """Append a row; a new column rewrites the file."""
    columns = _columns(path)
    new = [name for name in (*INDEX, *sorted(row)) if name not in columns]
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, [*columns, *dict.fromkeys(new)], [*_rows(path), row])
        return
    with path.open("a", newline="") as file:
        csv.DictWriter(file, columns).writerow(row)


def read_history(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Read steps and values of every column of metrics.csv; no file gives no columns."""
    history: dict[str, tuple[list[int], list[float]]] = {}
    for row in _rows(path):
        for name, value in row.items():
            if value and name not in INDEX:
                steps, values = history.setdefault(name, ([], []))
                steps.append(int(row["step"]))
                values.append(float(value))
    return history


class CSVLogger(Logger):
    """Write logged values to ``save_dir``/metrics.csv and ``save_dir``/timing.csv.

    Rows carry the index of their optimizer step, from 0, and are written immediately. A run resumed
    after n steps keeps the rows of those n and appends; Lightning's logger would start again.
    """

    name, version = "csv", ""

    def __init__(self, save_dir: str | os.PathLike) -> None:
        super().__init__()
        self._paths = {stem: Path(save_dir) / f"{stem}.csv" for stem in ("metrics", "timing")}

    @property
    def save_dir(self) -> str:
        return str(self._paths["metrics"].parent)

    log_dir = save_dir

    def log_hyperparams(self, *_: object) -> None:
        """Do nothing: config.yaml holds the complete configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in metrics.items()}
        epoch = int(values.pop("epoch", 0))
        for stem, path in self._paths.items():
            timing = stem == "timing"
            chosen = {k: v for k, v in values.items() if k.startswith(TIMING) is timing}
            if chosen:
                _append(path, {"epoch": epoch, "step": step or 0, **chosen})

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Drop the rows from ``step`` on, which the resumed run writes again."""
        for path in self._paths.values():
            if path.exists():
                # a power failure may have cut the last row
                complete = [row for row in _rows(path) if None not in row.values()]
                kept = [r for r in complete if r["step"].isdigit() and int(r["step"]) < step]
                _write(path, _columns(path), kept)
