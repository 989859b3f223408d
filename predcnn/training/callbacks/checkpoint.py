"""Checkpoints of a run: the best by validation, the last state and the one before it."""

import math
import os
import signal
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint

from predcnn.files import remove_leftovers
from predcnn.training.interruption import (
    Interrupted,
    StopSignals,
    requeue_signal,
    requeue_slurm_job,
)
from predcnn.training.optim import check_length

BEST, LAST, PREVIOUS, NEXT = "best.ckpt", "last.ckpt", "previous.ckpt", "next.ckpt"


class Checkpoint(LightningCheckpoint):
    """Write best.ckpt, last.ckpt and previous.ckpt to ``checkpoints`` in the run directory.

    A run killed while it writes leaves the previous checkpoint. States are saved after a
    validation, after an epoch without one, and between two steps (`on_between_steps`). Ctrl-C,
    SIGTERM and SLURM's requeue signal end the training with `Interrupted` at the next save.

    Args:
        monitor: logged value that decides which weights are best.
        mode: "min" or "max": which value is better.
        every_minutes: also save last.ckpt when this much time has passed since the last save.
    """

    def __init__(
        self, monitor: str = "val/mse", mode: str = "min", every_minutes: float = 10.0
    ) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.sign = 1.0 if mode == "min" else -1.0
        self.every_minutes = every_minutes
        self._dir: Path | None = None
        self.best_score, self.best_step = math.inf, 0
        self.signals = StopSignals()
        self._saved_at = time.monotonic()
        self._saved_step = -1

    def best_file(self, trainer: pl.Trainer) -> Path:
        return self._folder(trainer) / BEST

    @property
    def choice(self) -> str:
        """One line on how the best checkpoint was chosen."""
        if not self.best_step:
            return f"{BEST}: the last step, as no validation gave a number"
        kind = "lowest" if self.sign > 0 else "highest"
        score = self.best_score * self.sign
        return f"{BEST}: step {self.best_step:,}, with the {kind} {self.monitor}, {score:.4g}"

    def _folder(self, trainer: pl.Trainer) -> Path:
        if self._dir is None:
            root = trainer.strategy.broadcast(trainer.default_root_dir)
            self._dir = Path(root) / "checkpoints"
        return self._dir

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        known = ["val/loss", *(f"val/{name}" for name in pl_module.metric_names)]
        if stage == "fit" and self.monitor not in known:
            logged = ", ".join(known)
            raise ValueError(
                f"callbacks.checkpoint.monitor={self.monitor} is not logged; logged: {logged}"
            )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # continued in another directory: the old score would win without a file
        if not self.best_file(trainer).exists():
            self.best_score, self.best_step = math.inf, 0
        if trainer.is_global_zero:
            remove_leftovers(self._folder(trainer))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        check_length(trainer)
        # Lightning's own handlers save in the middle of a step or not at all.
        requeue = requeue_signal(trainer)
        self.signals.watch(*([] if requeue is None else [requeue]))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.signals.release()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Ask for a validation at the last step of a run that ends before its first one."""
        last_epoch = trainer.max_epochs == trainer.current_epoch + 1 and trainer.is_last_batch
        if self.best_step or not (last_epoch or trainer.global_step == trainer.max_steps):
            return
        if trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1
        trainer.should_stop = True  # Lightning validates before it stops

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        score = float(trainer.callback_metrics[self.monitor]) * self.sign
        if score < self.best_score:
            self.best_score, self.best_step = score, trainer.global_step
            trainer.save_checkpoint(self.best_file(trainer))
        self.save_last(trainer)
        self._stop_if_asked(trainer)

    def on_between_steps(self, trainer: pl.Trainer) -> None:
        """Save or stop if it is time; the data module calls this before it moves the next batch.

        The last step is then completely logged, and a resume repeats nothing. Skipped while
        gradients accumulate, before the first batch of an epoch and after a validation, where
        Lightning would validate again. Several processes check every ``log_every_n_steps`` batches.
        """
        batches = trainer.fit_loop.epoch_loop.batch_progress
        done = batches.current.completed
        counted = batches.total if trainer.check_val_every_n_epoch is None else batches.current
        every = trainer.val_check_batch  # None: by the clock
        validated = every not in (None, math.inf) and counted.completed % every == 0
        if done == 0 or validated or done % trainer.accumulate_grad_batches:
            return
        if trainer.world_size > 1 and done % max(1, trainer.log_every_n_steps):
            return
        self._stop_if_asked(trainer, save=True)
        waited = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        if trainer.strategy.broadcast(waited):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._saved_step != trainer.global_step:  # an epoch without a validation
            self.save_last(trainer)
            self._stop_if_asked(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._saved_step != trainer.global_step:  # ended between two validations
            self.save_last(trainer)
        if not self.best_file(trainer).exists():
            trainer.save_checkpoint(self.best_file(trainer))

    def save_last(self, trainer: pl.Trainer) -> None:
        """Save the state of the run as last.ckpt; the old one becomes previous.ckpt."""
        folder = self._folder(trainer)
        trainer.save_checkpoint(folder / NEXT)
        if trainer.is_global_zero:
            if (folder / LAST).exists():
                os.replace(folder / LAST, folder / PREVIOUS)
            os.replace(folder / NEXT, folder / LAST)
        trainer.strategy.barrier()
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _stop_if_asked(self, trainer: pl.Trainer, save: bool = False) -> None:
        received = self.signals.received
        if not trainer.strategy.reduce_boolean_decision(received is not None, all=False):
            return
        if save:
            self.save_last(trainer)
        number = received or signal.SIGTERM  # another process may have received it
        if number == requeue_signal(trainer) and trainer.is_global_zero:
            requeue_slurm_job()
        path = self._folder(trainer) / LAST
        raise Interrupted(number, f"after step {trainer.global_step}, saved in {path}")

    def state_dict(self) -> dict[str, float | int]:
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, float | int]) -> None:
        self.best_score, self.best_step = state_dict["best_score"], state_dict["best_step"]
