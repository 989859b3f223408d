"""GIFs of the same validation sequences during training."""

from pathlib import Path

import lightning.pytorch as pl

from predcnn.training.run_pictures import draw_sequences, warn_of_failure


class DrawPredictions(pl.Callback):
    """Write ``predictions/val_<i>_epoch_<n>.gif`` for the first validation sequences."""

    def __init__(self, every_n_epochs: int = 5, sequences: int = 2, fps: float = 5.0) -> None:
        if every_n_epochs < 1 or sequences < 1:
            raise ValueError(
                f"every_n_epochs and sequences are at least 1, got {every_n_epochs} and {sequences}"
            )
        self.every_n_epochs, self.sequences = every_n_epochs, sequences
        self.fps = fps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, data = trainer.current_epoch + 1, trainer.datamodule
        due = epoch % self.every_n_epochs == 0 and trainer.state.fn == "fit"
        if not due or trainer.sanity_checking or not trainer.is_global_zero:
            return
        dataset = data.split("val")
        with warn_of_failure(f"validation sequences of epoch {epoch}"):
            draw_sequences(
                Path(trainer.default_root_dir) / "predictions",
                dataset,
                {f"epoch {epoch}": pl_module.predictor},
                range(min(self.sequences, len(dataset))),
                formats=("gif",),
                title=f"{data.family.name} validation ({dataset.source})",
                fps=self.fps,
                units=data.units,
                pattern=f"val_{{index}}{{suffix}}_epoch_{epoch:03d}",
            )
