"""checkpoints/best.ckpt by validation and checkpoints/last.ckpt for the resume."""

import math
import os
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint


class Checkpoint(LightningCheckpoint):
    """Keep the best weights by validation and the newest state of the run.

    Both are written to a temporary file first and renamed: a run that is killed while it writes
    leaves the checkpoint before it.

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
        self._saved_at = time.monotonic()
        self._saved_step = -1

    @property
    def best_path(self) -> Path:
        return self._folder / "best.ckpt"

    @property
    def last_path(self) -> Path:
        return self._folder / "last.ckpt"

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

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        score = float(trainer.callback_metrics[self.monitor]) * self.sign
        if score < self.best_score:
            self.best_score, self.best_step = score, trainer.global_step
            self._save(trainer, self.best_path)
        self._save(trainer, self.last_path)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        # The ranks agree on the time now and then, and gradients that still add up are not saved.
        done = batch_idx + 1
        if done % max(1, trainer.log_every_n_steps) or done % trainer.accumulate_grad_batches:
            return
        waited = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        if trainer.strategy.broadcast(waited):
            self._save(trainer, self.last_path)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._saved_step != trainer.global_step:  # ended between two validations
            self._save(trainer, self.last_path)
        if not self.best_path.exists():
            self._save(trainer, self.best_path)

    def _save(self, trainer: pl.Trainer, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        trainer.strategy.barrier()
        self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step

    def state_dict(self) -> dict[str, float | int]:
        return {"best_score": self.best_score, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, float | int]) -> None:
        self.best_score = float(state_dict["best_score"])
        self.best_step = int(state_dict["best_step"])
