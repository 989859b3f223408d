"""The probe of a budget: the train command with a callback that times some steps and exits."""

import dataclasses
import itertools
import os
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import torch

from predcnn.cores import machine_seconds
from predcnn.files import write_json
from predcnn.leaderboard.budget import Pace, pace

WARM_UP = 2
FEWEST, MOST = 4, 60
ENOUGH_CPU_S = 16.0
FILE = "pace.json"
OVERRIDES = (
    "trainer.max_epochs=-1", "trainer.max_steps=100000", "trainer.limit_val_batches=0",
    "trainer.enable_progress_bar=false", "trainer.default_root_dir=null", "callbacks.drawing=null",
    "logger=[csv]", "+callbacks.probe._target_=predcnn.leaderboard.probe.Probe",
)  # fmt: skip


class Probe(pl.Callback):
    """Time steps from the end of one batch to the end of the next, write pace.json, exit."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self.machine: list[float | None] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Exit before the test of a model without training."""
        if stage == "test":
            self._finish(trainer, Pace(0.0, 0.0, 0.0, 0, trainer.strategy.root_device.type))

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        """Record the times; exit when there are enough."""
        self.marks.append((time.perf_counter(), time.process_time()))
        self.machine.append(machine_seconds())
        timed = self.marks[WARM_UP:]
        long_enough = len(timed) > FEWEST and timed[-1][1] - timed[0][1] > ENOUGH_CPU_S
        enough = long_enough or len(timed) > MOST
        if trainer.strategy.reduce_boolean_decision(enough, all=False):
            device = trainer.strategy.root_device.type
            # worker processes would count as other programs
            alone = device == "cpu" and not trainer.train_dataloader.num_workers
            taken = self.taken() if alone else None
            self._finish(trainer, dataclasses.replace(pace(*self.steps(), device), taken=taken))

    def steps(self) -> tuple[list[float], list[float]]:
        """Return wall and processor seconds of every timed step."""
        pairs = list(itertools.pairwise(self.marks[WARM_UP:]))
        return [b[0] - a[0] for a, b in pairs], [b[1] - a[1] for a, b in pairs]

    def taken(self) -> float | None:
        """Return the cores that other programs took from the training's threads."""
        first, last = self.machine[WARM_UP], self.machine[-1]
        if first is None or last is None:
            return None
        (wall, own), (wall_end, own_end) = self.marks[WARM_UP], self.marks[-1]
        others = (last - first - (own_end - own)) / (wall_end - wall)
        return max(0.0, others - (os.cpu_count() - torch.get_num_threads()))

    def _finish(self, trainer: pl.Trainer, found: Pace) -> None:
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / FILE, dataclasses.asdict(found))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # Lightning would report an exception as an interruption
