"""Common parts of all stages: settings, time budget, records."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

IN_SHAPE = (10, 1, 64, 64)
FIRST = ("moganet", "gsta", "van", "vmamba")
"""The translators that are compiled within eight minutes, and measured first."""


@dataclass
class Setting:
    """Device and options of a check, and values that later stages need.

    Attributes:
        device: "cuda", or "cpu" in a dry run.
        dry: tiny sizes, one model a stage, nothing compiled.
        full: compile and measure everything, whatever time it takes.
        out: folder of the report.
        resume: folder of an earlier check whose training continues.
        epochs: of the training of stage d.
        peak: multiply–adds per second of a bfloat16 matrix product (float32 in a dry run).
        fastest: training sequences per second of the fastest model.
        best: overrides of train.py for the fastest training step of moganet.
        best_speed: its sequences per second.
    """

    device: torch.device
    dry: bool
    full: bool
    out: Path
    resume: Path | None = None
    epochs: int = 200
    peak: float = float("nan")
    fastest: float = 0.0
    best: list[str] = field(default_factory=list)
    best_speed: float = 0.0


class Stage:
    """Rows of one stage; ``run`` adds one unless the stage's time is over.

    Args:
        name: letter and title, as in the report.
        seconds: share of the time; a case that has begun is not interrupted.
        save: called after every row, so that a check that is cut off keeps what it has.
    """

    def __init__(self, name: str, seconds: float, save: Callable[[], None]) -> None:
        self.name = name
        self.seconds = seconds
        self.save = save
        self.start = self.end = time.monotonic()
        self.rows: list[dict] = []
        self.not_run: list[str] = []

    @property
    def left(self) -> float:
        """Seconds of the share that remain."""
        return self.seconds - (time.monotonic() - self.start)

    def run(self, name: str, case: Callable[[], dict]) -> dict | None:
        """Add ``case()`` as a row; an error becomes the row's ``error``. None if it did not run."""
        if self.left <= 0:
            self.not_run.append(name)
            return None
        began = time.monotonic()
        try:
            row = {"name": name, **case()}
        except Exception as error:  # one model that fails must not end the check
            row = {"name": name, "error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
            row["error"] = row["error"][:500]
        row["took_s"] = round(time.monotonic() - began, 1)
        self.rows.append(row)
        self.end = time.monotonic()
        print(f"{self.name}: {describe(row)}", flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.save()
        return None if "error" in row else row

    def record(self) -> dict:
        """The stage as the report holds it."""
        return {
            "stage": self.name,
            "share_s": round(self.seconds),
            "took_s": round(self.end - self.start, 1),
            "rows": self.rows,
            "not_run": self.not_run,
        }


def describe(row: dict) -> str:
    """A row as one line."""
    return ", ".join(
        str(value) if key == "name" else f"{key} {shown(value)}" for key, value in row.items()
    )


def shown(value: object) -> str:
    """A value of a row for people: four digits of a number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
