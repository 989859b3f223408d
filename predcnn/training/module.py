"""The LightningModule behind every training: optimizer, schedule, seeding, meters, checkpoints."""

from collections.abc import Callable, Mapping
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from predcnn.training.run_pictures import draw_curves


class TrainingModule(pl.LightningModule):
    """Base of `VideoPrediction`, `ImageClassification` and `MaskedImages`.

    Training logs ``train/loss``, validation ``val/<name>`` for every scalar of `new_meters`; a test
    leaves the values of all meters in ``test_results``. Every training batch has its own random
    stream, so a resumed run draws the same numbers.

    Subclasses define ``network``, ``config``, ``training_step`` and

    - ``new_meters(split)``: the meters of "val" or "test" by name;
    - ``measure(meters, batch, index)``: update them with an evaluation batch;
    - ``describe()``: rows for the table printed at the start, label -> text;
    - ``results()``: ``metrics``, ``definitions`` and more for results.json, after a test.

    Args:
        optimizer: parameters -> optimizer; None to test only.
        scheduler: (optimizer, total_steps=n) -> schedule, stepped per optimizer step; None as well.
        run: plain values that describe the run, saved in every checkpoint.
        seed: of the random numbers drawn in training steps.
    """

    task: str  # name in results.json and in checkpoints
    network: nn.Module
    metric = "loss"  # the test metric that a run returns
    metric_names: tuple[str, ...] = ("loss",)
    config: Mapping[str, object]  # plain values that rebuild the network

    def __init__(
        self,
        optimizer: Callable | None = None,
        scheduler: Callable | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.run_description = dict(run or {})
        self.seed = seed
        self.total_steps: int | None = None
        self.test_results: dict[str, float | list[float]] = {}
        # Not submodules: LPIPS contains a network that must not enter the checkpoints.
        self._meters: dict[str, dict[str, Metric | MetricCollection]] = {}

    def build_optimizer(self) -> Optimizer:
        """Create the optimizer, by default with one group of parameters."""
        return self.make_optimizer(self.network.parameters())

    def prepare_test(self, datamodule: pl.LightningDataModule) -> None:
        """Take from the data what a test needs beyond its batches, by default nothing."""

    def save_weights(self, run_dir: Path, results: dict) -> None:
        """Write weight files of a finished run in addition to its checkpoints; by default none."""

    def draw(self, run_dir: Path, datamodule: pl.LightningDataModule, results: dict) -> None:
        """Write the images of a finished run, by default curves.png."""
        draw_curves(run_dir, results)

    def stream(self) -> int:
        """Return the seed of the current training batch."""
        return step_key(self.seed, self.global_rank, self.trainer.fit_loop.total_batch_idx)

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        torch.manual_seed(self.stream())

    def log_step(self, parts: Mapping[str, Tensor], sync_dist: bool = False) -> None:
        """Log ``train/<name>`` of every part and the largest learning rate of all groups."""
        values = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(values, sync_dist=sync_dist)
        self.log("train/lr", max(g["lr"] for g in self.trainer.optimizers[0].param_groups))

    def on_validation_epoch_start(self) -> None:
        self._start("val")

    def validation_step(self, batch: object, batch_idx: int) -> None:
        self.measure(self._meters["val"], batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        values = {f"val/{name}": value for name, value in self._compute("val").items()}
        if self.device.type != "cpu":  # metrics are float64 on the host, which NCCL cannot reduce
            values = {k: v.to(self.device, torch.float32) for k, v in values.items()}
        self.log_dict(values, sync_dist=True)  # equal on all ranks; silences a warning

    def on_test_epoch_start(self) -> None:
        self._start("test")

    def test_step(self, batch: object, batch_idx: int) -> None:
        self.measure(self._meters["test"], batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.test_results = {k: value.cpu().tolist() for k, value in self._compute("test").items()}
        values = {f"test/{name}": self.test_results[name] for name in self.metric_names}
        self.log_dict(values, sync_dist=True)

    def _start(self, split: str) -> None:
        if split not in self._meters:
            self._meters[split] = self.new_meters(split)
        for meter in self._meters[split].values():
            meter.to(self.device).reset()

    def _compute(self, split: str) -> dict[str, Tensor]:
        """Return the value of every meter over all samples of all ranks."""
        values: dict[str, Tensor] = {}
        for name, meter in self._meters[split].items():
            value = meter.compute()
            values |= value if isinstance(value, dict) else {name: value}
        return values

    def configure_optimizers(self) -> dict:
        optimizer, steps = self.build_optimizer(), self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ValueError(
                "the schedule needs the number of steps: set trainer.max_epochs or "
                "trainer.max_steps (trainer.max_time alone gives none)"
            )
        self.total_steps = int(steps)
        schedule = self.make_scheduler(optimizer, total_steps=self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        about = {"task": self.task, "config": self.config, "run": self.run_description}
        checkpoint["predcnn"] = about


def step_key(seed: int, rank: int, step: int) -> int:
    """Return 64 bits that seed batch ``step`` of a process."""
    return int(np.random.SeedSequence([seed, rank, step]).generate_state(1, np.uint64)[0])
