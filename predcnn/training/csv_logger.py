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


class _Table:
    """A CSV file to which rows are appended; a new column rewrites the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = ["epoch", "step"]
        if path.exists():
            with path.open(newline="") as file:
                self.columns = next(csv.reader(file), self.columns)

    def append(self, row: dict[str, float | int]) -> None:
        new = sorted(set(row) - set(self.columns))
        if new or not self.path.exists():
            self.columns += new
            self._write([*_rows(self.path), row])
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def truncate(self, step: int) -> None:
        """Drop the rows from ``step`` on: a resumed run writes them again."""
        if self.path.exists():
            # a power failure may have cut the last row
            complete = [row for row in _rows(self.path) if None not in row.values()]
            kept = [r for r in complete if r["step"].isdigit() and int(r["step"]) < step]
            self._write(kept)

    def _write(self, rows: list[dict]) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_history(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Read steps and values of every column of metrics.csv; no file gives no columns."""
    history: dict[str, tuple[list[int], list[float]]] = {}
    for row in _rows(path):
        for name, value in row.items():
            if value and name not in ("epoch", "step"):
                steps, values = history.setdefault(name, ([], []))
                steps.append(int(row["step"]))
                values.append(float(value))
    return history


class CSVLogger(Logger):
    """Write logged values to ``save_dir``/metrics.csv and ``save_dir``/timing.csv.

    Rows have the index of their optimizer step, from 0, and are written immediately. A run resumed
    after n steps keeps the rows of those n and appends.
    """

    def __init__(self, save_dir: str | os.PathLike) -> None:
        super().__init__()
        self._dir = Path(save_dir)
        self._tables: dict[str, _Table] = {}

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self._dir)

    @property
    def log_dir(self) -> str:
        return str(self._dir)

    def _table(self, stem: str) -> _Table:
        if stem not in self._tables:
            self._dir.mkdir(parents=True, exist_ok=True)
            self._tables[stem] = _Table(self._dir / f"{stem}.csv")
        return self._tables[stem]

    @rank_zero_only
    def log_hyperparams(self, params: object, *args: object) -> None:
        """Do nothing: config.yaml holds the complete configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in metrics.items()}
        epoch = int(values.pop("epoch", 0))
        for stem, timing in (("metrics", False), ("timing", True)):
            chosen = {k: v for k, v in values.items() if k.startswith(TIMING) is timing}
            if chosen:
                self._table(stem).append({"epoch": epoch, "step": step or 0, **chosen})

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Drop the rows that an interrupted run logged after its checkpoint of ``step`` steps."""
        for stem in ("metrics", "timing"):
            self._table(stem).truncate(step)
