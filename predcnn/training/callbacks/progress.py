"""The progress bar: loss, learning rate, validation, speed; lines of text outside a terminal."""

import sys
import time

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

LABELS = {
    "train/loss": "loss",
    "train/lr": "lr",
    "val/mse": "val_mse",
    "val/top1": "val_top1",
    "timing/sequences_per_s": "seq/s",
    "timing/images_per_s": "img/s",
}


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with loss, learning rate, validation metric and speed.

    Outside a terminal it prints a line at the end of an epoch and once a minute.

    Args:
        refresh_rate: steps between two updates.
        line_every_s: seconds between two lines outside a terminal.
    """

    def __init__(self, refresh_rate: int = 10, line_every_s: float = 60.0) -> None:
        self.lines = not sys.stdout.isatty() and "ipykernel" not in sys.modules
        super().__init__(refresh_rate=0 if self.lines else refresh_rate)
        self.line_every_s = line_every_s
        self._printed_at = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, module: object, *rest: object) -> None:
        super().on_train_batch_end(trainer, module, *rest)
        if self.lines and time.monotonic() - self._printed_at >= self.line_every_s:
            self._print_line(trainer, module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.lines:
            self._print_line(trainer, pl_module)

    def _print_line(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._printed_at = time.monotonic()
        shown = self.get_metrics(trainer, pl_module)
        numbers = ", ".join(f"{name} {value}" for name, value in shown.items())
        step = f"{trainer.global_step:,} of {trainer.estimated_stepping_batches:,}"
        self.print(f"epoch {trainer.current_epoch + 1}, step {step}: {numbers}")

    def print(self, *args: object, **options: object) -> None:
        if not self.lines:
            super().print(*args, **options)
        elif self._enabled:  # Lightning disables it on other processes
            print(*args, flush=True)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, str]:
        found = trainer.callback_metrics
        return {LABELS[key]: f"{float(found[key]):.4g}" for key in LABELS if key in found}
