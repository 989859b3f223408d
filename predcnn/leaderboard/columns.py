"""The columns of a board: what they show, in which unit, and which way is better."""

from collections.abc import Callable
from dataclasses import dataclass

from predcnn.leaderboard.standings import Board, Value
from predcnn.metrics import METRICS

TITLES = {"mse": "MSE", "mae": "MAE", "rmse": "RMSE", "ssim": "SSIM", "psnr": "PSNR",
          "ssim_openstl": "SSIM (range 2)", "lpips": "LPIPS"}  # fmt: skip
DIGITS = {"ssim": 4, "ssim_openstl": 4, "lpips": 4}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: of ``Row.values``.
        title: its head.
        show: a mean or a standard deviation as text, in the column's unit.
        higher: whether more is better; None where nothing is ranked.
        about: one sentence.
    """

    key: str
    title: str
    show: Callable[[float], str]
    higher: bool | None
    about: str

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {True: " ↑", False: " ↓", None: ""}[self.higher]

    def text(self, value: Value | None) -> str:
        """A cell: mean ± sd over seeds."""
        if value is None:
            return "–"
        spread = "" if value.sd is None else f" ± {self.show(value.sd)}"
        return self.show(value.mean) + spread


def _scaled(unit: float, digits: int) -> Callable[[float], str]:
    return lambda number: f"{number / unit:,.{digits}f}"


def columns_of(board: Board) -> list[Column]:
    """The columns of a board, metrics first."""
    speeds = board.speeds
    device = speeds[0]["device"] if speeds else ""
    found = [
        Column(
            name,
            TITLES.get(name, name),
            _scaled(1, DIGITS.get(name, 2)),
            METRICS[name].higher_is_better,
            board.definitions[name],
        )
        for name in board.metrics
    ]
    found += [
        Column("params", "params (M)", _scaled(1e6, 2), False, "Parameters that exist."),
        Column("macs", "FLOPs (G)", _scaled(1e9, 3), False,
               "Multiply–adds of one sequence: convolutions, linear maps, matrix products."),
    ]  # fmt: skip
    for key, speed in zip(("speed", "speed_batched"), speeds, strict=False):
        size = speed["batch_size"]
        about = f"Sequences per second in eval mode after warm-up, batch {size}, on {device}."
        found.append(Column(key, f"seq/s (batch {size})", _scaled(1, 1), True, about))
    memory = (
        "Peak memory of the tensors that predicting one batch of the larger size adds to weights "
        "and input."
    )
    cpu = "Processor minutes of the training steps, all threads."
    found += [
        Column("inference_memory", "memory (MB)", _scaled(1e6, 0), False, memory),
        Column("steps", "steps", _scaled(1, 0), None, "Optimiser steps that the schedule spans."),
        Column("sequences", "sequences", _scaled(1, 0), None, "Training sequences seen."),
        Column("cpu_min", "CPU min", _scaled(1, 1), None, cpu),
        Column("wall_min", "wall min", _scaled(1, 1), None, "Wall minutes of the training steps."),
    ]
    return found
