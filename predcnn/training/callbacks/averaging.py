"""An exponential moving average of the weights, kept on the device of the training."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EMAWeightAveraging


class AveragedWeights(EMAWeightAveraging):
    """Lightning's averaging, whose copy of the weights would stay on the CPU otherwise.

    Lightning makes the copy before it moves the module, so that every step would copy all weights
    to the host.
    """

    @property
    def state_key(self) -> str:
        """The key of Lightning's class, under which existing checkpoints hold the state."""
        return EMAWeightAveraging.__qualname__

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)
