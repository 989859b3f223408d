"""A callback that ends one process of a run, once."""

import os
import signal
import time
from pathlib import Path

import lightning.pytorch as pl


class FailingRank(pl.Callback):
    """End process ``rank`` when it is built or at training step ``step``, by an error or SIGKILL.

    ``note`` receives the time; while the file exists nothing fails again.
    """

    def __init__(self, note: str, rank: int, step: int | None, killed: bool = False) -> None:
        self.note, self.rank, self.step, self.killed = Path(note), rank, step, killed
        if step is None and os.environ.get("LOCAL_RANK") == str(rank):
            self.fail()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            self.fail()

    def fail(self) -> None:
        if self.note.exists():
            return
        self.note.write_text(repr(time.time()))
        if self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("clip 3 cannot be read")
