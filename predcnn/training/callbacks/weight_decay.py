"""A weight decay that changes along half a cosine, for self-supervised recipes."""

import math

import lightning.pytorch as pl


class WeightDecaySchedule(pl.Callback):
    """Move the weight decay from the optimizer's own to ``end`` over the run.

    Groups without weight decay keep none. The value depends on the step alone, so a resumed run
    continues it. (Tian et al. 2023, SparK: 0.04 to 0.2.)
    """

    def __init__(self, end: float) -> None:
        if end < 0:
            raise ValueError(f"a weight decay is at least 0, got end={end}")
        self.end = end
        self.start: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = [group["weight_decay"] for group in trainer.optimizers[0].param_groups]

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        done = min(1.0, trainer.global_step / max(1, trainer.estimated_stepping_batches - 1))
        share = (1 - math.cos(math.pi * done)) / 2
        for start, group in zip(self.start, trainer.optimizers[0].param_groups, strict=True):
            if start:
                group["weight_decay"] = start + (self.end - start) * share
