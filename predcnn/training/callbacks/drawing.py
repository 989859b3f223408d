"""GIFs of the same validation sequences during training."""

from pathlib import Path

import lightning.pytorch as pl
import torch

from predcnn.data import to_float
from predcnn.data.views import views_of
from predcnn.training.run_pictures import warn_of_failure
from predcnn.visual import comparison_frames, write_gif


class DrawPredictions(pl.Callback):
    """Write ``predictions/val_<i>_epoch_<n>.gif`` for the first validation sequences."""

    def __init__(self, every_n_epochs: int = 5, sequences: int = 2, fps: float = 5.0) -> None:
        if every_n_epochs < 1 or sequences < 1:
            raise ValueError(
                f"every_n_epochs and sequences are at least 1, got {every_n_epochs} and {sequences}"
            )
        self.every_n_epochs = every_n_epochs
        self.sequences = sequences
        self.fps = fps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = epoch % self.every_n_epochs == 0 and trainer.state.fn == "fit"
        if not due or trainer.sanity_checking or not trainer.is_global_zero:
            return
        with warn_of_failure(f"validation sequences of epoch {epoch}"):
            self._draw(trainer, pl_module, epoch)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        dataset = trainer.datamodule.split("val")
        batch = dataset.batch(0, range(min(self.sequences, len(dataset)))).to(pl_module.device)
        units = trainer.datamodule.units
        frames = to_float(batch) if units is None else batch.float()
        past, future = frames[:, : pl_module.frames_in], frames[:, pl_module.frames_in :]
        with torch.no_grad():
            pred = pl_module.predictor(
                past.nan_to_num(nan=0)
            )  # validation: the module is in eval mode here
        folder = Path(trainer.default_root_dir) / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        title = f"{trainer.datamodule.family.name} validation ({dataset.source})"
        for i in range(len(frames)):
            for view in views_of(past[i], future[i], {f"epoch {epoch}": pred[i]}, units):
                caption = f"{title}, sequence {i}{view.caption}"
                parts = (view.past, view.truth, view.predictions)
                path = folder / f"val_{i}{view.suffix}_epoch_{epoch:03d}.gif"
                write_gif(path, comparison_frames(*parts, caption=caption), fps=self.fps)
