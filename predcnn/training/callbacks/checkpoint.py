"""checkpoints/best.ckpt by validation, checkpoints/last.ckpt for the resume and the one before."""

import math
import os
import signal
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint

from predcnn.files import remove_leftovers
from predcnn.native.private import cluster_environment
from predcnn.training.interruption import Interrupted, StopSignals, requeue_slurm_job
from predcnn.training.optim import check_length

BEST, LAST, PREVIOUS, NEXT = "best.ckpt", "last.ckpt", "previous.ckpt", "next.ckpt"


class Checkpoint(LightningCheckpoint):
    """Keep the best weights by validation, the newest state of the run and the state before it.

    A run that is killed while it writes leaves the checkpoint before it. States are saved after a
    validation, after an epoch without one, and between two steps, where all of the last step is
    logged and a resume repeats nothing: see `on_between_steps`. Ctrl-C, SIGTERM and SLURM's requeue
    signal end the training with `Interrupted` at the next such moment.

    Args:
        dirpath: the folder; None means ``checkpoints`` in the run directory (the trainer's root).
        monitor: logged quantity that decides; the smaller (``mode="min"``) or larger ("max"), the
            better.
        mode: "min" or "max".
        every_minutes: also save last.ckpt when this much time has passed since the last save.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike | None = None,
        monitor: str = "val/mse",
        mode: str = "min",
        every_minutes: float = 10.0,
    ) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise ValueError(f"mode is 'min' or 'max', got {mode!r}")
        self.dirpath = Path(dirpath) if dirpath is not None else None
        self.monitor = monitor
        self.sign = 1.0 if mode == "min" else -1.0
        self.every_minutes = every_minutes
        self.best_score = math.inf
        self.best_step = 0
        self.signals = StopSignals()
        self._saved_at = time.monotonic()
        self._saved_step = -1

    @property
    def best_path(self) -> Path:
        return self._folder / BEST

    @property
    def last_path(self) -> Path:
        return self._folder / LAST

    @property
    def _folder(self) -> Path:
        if self.dirpath is None:
            raise RuntimeError("the checkpoint folder is known once the trainer has started")
        return self.dirpath

    def place(self, trainer: pl.Trainer) -> Path:
        """The folder of the checkpoints."""
        root = trainer.strategy.broadcast(trainer.default_root_dir)
        return self.dirpath or Path(root) / "checkpoints"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.dirpath = self.place(trainer)
        if stage == "fit" and hasattr(pl_module, "metric_names"):
            known = ["val/loss", *(f"val/{name}" for name in pl_module.metric_names)]
            if self.monitor not in known:
                raise ValueError(
                    f"callbacks.checkpoint.monitor={self.monitor} is not logged; logged: "
                    f"{', '.join(known)}"
                )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.best_path.exists():  # continued elsewhere: an old score would win without file
            self.best_score, self.best_step = math.inf, 0
        if trainer.is_global_zero:
            remove_leftovers(self._folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        check_length(trainer)
        # Lightning's own handlers save in the middle of a step or not at all.
        requeue = _requeue_signal(trainer)
        self.signals.watch(*([] if requeue is None else [requeue]))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.signals.release()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        score = float(trainer.callback_metrics[self.monitor]) * self.sign
        if score < self.best_score:
            self.best_score, self.best_step = score, trainer.global_step
            trainer.save_checkpoint(self.best_path)
        self.save_last(trainer)
        if self._asked_to_stop(trainer):
            self._stop(trainer)

    def on_between_steps(self, trainer: pl.Trainer) -> None:
        """Save or stop if it is time; called by the data module when it hands over the next batch.

        Not before the first batch of an epoch or after a validation, where Lightning would validate
        once more, and not while gradients add up. Several processes agree every
        ``trainer.log_every_n_steps`` batches.
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
        if self._asked_to_stop(trainer):
            self.save_last(trainer)
            self._stop(trainer)
        waited = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        if trainer.strategy.broadcast(waited):
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._saved_step != trainer.global_step:  # an epoch without a validation
            self.save_last(trainer)
            if self._asked_to_stop(trainer):
                self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._saved_step != trainer.global_step:  # ended between two validations
            self.save_last(trainer)
        if not self.best_path.exists():
            trainer.save_checkpoint(self.best_path)

    def save_last(self, trainer: pl.Trainer) -> None:
        """Save the state of the run; the one before stays as previous.ckpt."""
        new = self._folder / NEXT
        trainer.save_checkpoint(new)
        if trainer.is_global_zero:
            if self.last_path.exists():
                os.replace(self.last_path, self._folder / PREVIOUS)
            os.replace(new, self.last_path)
        trainer.strategy.barrier()
        self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        received = self.signals.received is not None
        return bool(trainer.strategy.reduce_boolean_decision(received, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        # another process may have been asked
        number = self.signals.received or signal.SIGTERM
        if number == _requeue_signal(trainer) and trainer.is_global_zero:
            requeue_slurm_job()
        raise Interrupted(number, f"after step {trainer.global_step}, saved in {self.last_path}")

    def state_dict(self) -> dict[str, float | int]:
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, float | int]) -> None:
        self.best_score = float(state_dict["best_score"])
        self.best_step = int(state_dict["best_step"])


def _requeue_signal(trainer: pl.Trainer) -> signal.Signals | None:
    environment = cluster_environment(trainer)
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None
