"""metrics.csv of a run: one row per logged step, kept through a resume.

Values whose name starts with ``timing/`` go to timing.csv, so that metrics.csv of two equal runs is
equal.
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
    """A CSV file whose columns may grow; rows are appended, a new column rewrites the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = ["epoch", "step"]
        if path.exists():
            with path.open(newline="") as file:
                self.columns = next(csv.reader(file), self.columns)

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def append(self, row: dict[str, float | int]) -> None:
        new = sorted(set(row) - set(self.columns))
        if new or not self.path.exists():
            self.columns += new
            self._write([*self.rows(), row])
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def truncate(self, step: int) -> None:
        """Drop the rows from ``step`` on: a resumed run writes them again."""
        if self.path.exists():
            kept = [row for row in self.rows() if _complete(row) and int(row["step"]) < step]
            self._write(kept)

    def _write(self, rows: list[dict]) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(rows)


def _complete(row: dict[str, str]) -> bool:
    """Whether a row was written to its end: a machine that lost its power may have cut the last."""
    return None not in row.values() and row["step"].isdigit()


class CSVLogger(Logger):
    """Write what is logged to ``save_dir``/metrics.csv and ``save_dir``/timing.csv.

    Rows carry the index of their optimiser step, from 0, and appear as soon as they are logged, so
    that a run can be watched; a run that resumes after n steps keeps the rows of those n and
    appends.

    Args:
        save_dir: the run directory.
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
        """Nothing: config.yaml beside the file holds the whole configuration."""

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
        """Drop what an interrupted run logged after its checkpoint of ``step`` finished steps."""
        for stem in ("metrics", "timing"):
            self._table(stem).truncate(step)


def read_history(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every column of metrics.csv."""
    history: dict[str, tuple[list[int], list[float]]] = {}
    if not path.exists():
        return history
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    steps, values = history.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    return history
