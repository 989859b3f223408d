"""A warning when another program slows the training down."""

import os
import statistics
import time

import lightning.pytorch as pl

from predcnn.cores import Watch

FACTOR = 3.0  # steps are slow from this multiple of the median
STEPS = 10  # steps per mean; means are compared
ENOUGH = 5  # means before the first comparison


class Slowdown(pl.Callback):
    """Print one line when steps take much longer than the median step of the run."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._slow = 0  # consecutive slow means
        self._printed = False
        self._restart()

    def _restart(self) -> None:
        self._seen, self._start, self._watch = 0, time.perf_counter(), Watch()

    def on_train_epoch_start(self, *_: object) -> None:
        self._restart()  # leaves out the validation between two epochs

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._seen += 1
        if self._printed or self._seen < STEPS:
            return
        seconds = (time.perf_counter() - self._start) / self._seen
        usual = statistics.median(self._means) if len(self._means) >= ENOUGH else seconds
        self._slow = self._slow + 1 if seconds > FACTOR * usual else 0
        if not self._slow:
            self._means = [*self._means[-99:], seconds]
        if self._slow == 2 and trainer.is_global_zero:
            self._printed = True
            # loader processes would count as other programs
            others = None if trainer.train_dataloader.num_workers else self._watch.others()
            cores = os.cpu_count()
            used = "" if others is None else f"; other programs use {others:.1f} of {cores} cores"
            print(
                f"steps take {seconds:.2f} s, {seconds / usual:.1f} times the usual{used}: end "
                "other programs, or stop and continue with OMP_NUM_THREADS=1 and resume=true",
                flush=True,
            )
        self._restart()
