"""Samples per second of the training steps, and the estimated duration of the run."""

import time

import lightning.pytorch as pl
from lightning.pytorch.utilities.data import extract_batch_size

from predcnn.training.budget import EVALUATION


class Throughput(pl.Callback):
    """Log ``timing/<unit>_per_s``; after ``announce_after`` steps print how long the run takes."""

    def __init__(self, announce_after: int = 10, unit: str = "sequences") -> None:
        self.announce_after = announce_after
        self.name = f"timing/{unit}_per_s"
        self._mark: tuple[float, int] | None = None
        self._steps_seen = 0

    def on_train_epoch_start(self, *_: object) -> None:
        self._mark = None  # leaves out validation and drawing between two epochs

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, out: object, batch: object, i: int
    ) -> None:
        self._steps_seen += 1
        if self._mark is None:
            self._mark = (time.perf_counter(), i)
            return
        start, first = self._mark
        announce = self._steps_seen == self.announce_after
        if i - first < trainer.log_every_n_steps and not announce:
            return
        seconds = (time.perf_counter() - start) / (i - first)
        rate = extract_batch_size(batch) * trainer.world_size / seconds
        module.log(self.name, rate)
        if announce:
            self._announce(trainer, seconds, rate)
        self._mark = (time.perf_counter(), i)

    def _announce(self, trainer: pl.Trainer, seconds: float, rate: float) -> None:
        batches = trainer.num_training_batches
        left = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches
        every = (trainer.val_check_batch or batches) * (trainer.check_val_every_n_epoch or 1)
        validations = max(1, left // every)  # at least at the last step
        val, test = (len(trainer.datamodule.split(name)) for name in ("val", "test"))
        minutes = (seconds * left + EVALUATION * (validations * val + test) / rate) / 60
        text = (
            f"{seconds:.2f} s a step: about {seconds * batches / 60:.1f} minutes an epoch of "
            f"{batches:,} steps, {minutes:.0f} minutes in all with validation and test (assumed "
            "to take a third of a training step per sample)"
        )
        if trainer.max_steps == -1:  # the length is in epochs
            text += "; minutes=N trains for N minutes"
        if trainer.progress_bar_callback is not None:
            trainer.progress_bar_callback.print(text)
        elif trainer.is_global_zero:
            print(text, flush=True)
