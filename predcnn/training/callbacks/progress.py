"""The progress bar: loss, learning rate, validation, speed."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with loss, learning rate, validation metric and speed.

    Args:
        refresh_rate: steps between two redraws.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, float | str]:
        shown: dict[str, float | str] = {}
        names = {
            "train/loss": "loss",
            "train/lr": "lr",
            "val/mse": "val_mse",
            "val/top1": "val_top1",
            "timing/sequences_per_s": "seq/s",
            "timing/images_per_s": "img/s",
        }
        for key, label in names.items():
            if key in trainer.callback_metrics:
                shown[label] = f"{float(trainer.callback_metrics[key]):.4g}"
        return shown
