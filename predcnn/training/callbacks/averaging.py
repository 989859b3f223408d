"""An exponential moving average of the weights, kept on the device of the training."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EMAWeightAveraging


class AveragedWeights(EMAWeightAveraging):
    """Lightning's weight averaging with the average on the training device.

    Lightning makes the copy before it moves the module: every step would copy all weights to the
    host.
    """

    state_key = EMAWeightAveraging.__qualname__  # as in existing checkpoints

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)
