"""A callback that times the first steps of a training and ends it."""

import dataclasses
import itertools
import os
import time

import lightning.pytorch as pl
import torch

from predcnn.cores import Watch
from predcnn.training.budget import Pace, pace

WARM_UP = 2
FEWEST, MOST = 4, 60
ENOUGH_CPU_S = 16.0


class Probe(pl.Callback):
    """Time steps from the end of one batch to the end of the next; ``found`` is their pace."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []
        self.watch: Watch | None = None  # since the first timed step
        self.found: Pace | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        """Record the times; end the training when there are enough."""
        self.marks.append((time.perf_counter(), time.process_time()))
        if len(self.marks) == WARM_UP + 1:
            self.watch = Watch()
        timed = self.marks[WARM_UP:]
        long_enough = len(timed) > FEWEST and timed[-1][1] - timed[0][1] > ENOUGH_CPU_S
        enough = long_enough or len(timed) > MOST
        if not trainer.strategy.reduce_boolean_decision(enough, all=False):
            return
        device = trainer.strategy.root_device.type
        # worker processes would count as other programs
        alone = device == "cpu" and not trainer.train_dataloader.num_workers
        taken = self.taken() if alone else None
        self.finish(trainer, dataclasses.replace(pace(*self.steps(), device), taken=taken))

    def finish(self, trainer: pl.Trainer, found: Pace) -> None:
        """Keep the pace and stop."""
        self.found = found
        trainer.should_stop = True

    def steps(self) -> tuple[list[float], list[float]]:
        """Return wall and processor seconds of every timed step."""
        pairs = list(itertools.pairwise(self.marks[WARM_UP:]))
        return [b[0] - a[0] for a, b in pairs], [b[1] - a[1] for a, b in pairs]

    def taken(self) -> float | None:
        """Return the cores that other programs took from the training's threads."""
        others, idle = self.watch.others(), os.cpu_count() - torch.get_num_threads()
        return None if others is None else max(0.0, others - idle)
