"""The LightningModule of every image classifier: mixed images, metrics, optimizer and schedule."""

from collections.abc import Callable, Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from predcnn.backbones.checkpoint import TASK
from predcnn.data.streams import borrowed_randomness, seed_process
from predcnn.training.optim import scheduled
from predcnn.training.streams import step_key

TOP = {"top1": 1, "top5": 5}
DEFINITIONS = {
    "top1": "share of images whose class has the largest logit, in percent",
    "top5": "share of images whose class is among the five largest logits, in percent",
    "loss": "cross-entropy of the logits, nats, mean over images",
}


class ImageClassification(pl.LightningModule):
    """Train and evaluate a backbone on batches (images (B, 3, H, W), labels (B,)).

    Training logs ``train/loss``; validation ``val/top1``, ``val/top5`` (with more than five
    classes) and ``val/loss``; a test leaves the same in ``test_results``.

    Args:
        model: images -> logits (B, classes).
        config: what `predcnn.create_backbone` needs to build ``model`` again, kept in every
            checkpoint.
        loss: (logits, labels (B,) or shares of classes (B, classes)) -> scalar.
        optimizer: network -> optimizer, see `predcnn.training.optim.layered_optimizer`.
        scheduler: (optimizer, total_steps=n) -> schedule, stepped per optimiser step.
        mix: (images, labels) -> (images, shares of classes): `timm.data.Mixup`, or None.
        run: plain values that describe the run, kept in every checkpoint.
        seed: of mixing and of what the network itself draws; every batch has a stream of its own.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Mapping[str, object],
        loss: nn.Module,
        optimizer: Callable,
        scheduler: Callable,
        mix: Callable | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = dict(config)
        self.loss = loss
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.mix = mix
        self.run_description = dict(run or {})
        self.seed = seed
        names = [name for name, k in TOP.items() if k == 1 or k < self.classes]
        self.metric_names = (*names, "loss")
        self.test_results: dict[str, float] = {}
        # Not submodules: a checkpoint holds weights.
        self._meters: dict[str, dict[str, MeanMetric]] = {}

    @property
    def network(self) -> nn.Module:
        """The backbone."""
        return self.model

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.config["num_classes"]

    def on_train_batch_start(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        torch.manual_seed(self._key())

    def _key(self) -> int:
        return step_key(self.seed, self.global_rank, self.trainer.fit_loop.total_batch_idx)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        if self.mix is not None:
            with borrowed_randomness():
                seed_process(self._key())
                images, targets = self.mix(images, targets)
        loss = self.loss(self._logits(images), targets)
        rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
        self.log_dict({"train/loss": loss.detach(), "train/lr": max(rates)})
        return loss

    def _logits(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        if logits.ndim != 2 or logits.shape[1] != self.classes:
            raise ValueError(
                f"{self.config['name']} gives {tuple(logits.shape)}, not (images, {self.classes}) "
                "logits: it is no classifier of these classes"
            )
        return logits

    def on_validation_epoch_start(self) -> None:
        self._start("val")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measure("val", batch)

    def on_validation_epoch_end(self) -> None:
        self._finish("val")

    def on_test_epoch_start(self) -> None:
        self._start("test")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measure("test", batch)

    def on_test_epoch_end(self) -> None:
        self.test_results = self._finish("test")

    def _start(self, split: str) -> None:
        if split not in self._meters:
            self._meters[split] = {name: MeanMetric() for name in self.metric_names}
        for meter in self._meters[split].values():
            meter.to(self.device).reset()

    def _measure(self, split: str, batch: tuple[Tensor, Tensor]) -> None:
        images, labels = batch
        logits = self._logits(images).float()
        for name, meter in self._meters[split].items():
            if name in TOP:
                best = logits.topk(TOP[name]).indices
                meter.update(100.0 * (best == labels[:, None]).any(1))
            else:
                meter.update(cross_entropy(logits, labels, reduction="none"))

    def _finish(self, split: str) -> dict[str, float]:
        """The mean of each metric over all images of all ranks, logged."""
        values = {name: float(meter.compute()) for name, meter in self._meters[split].items()}
        self.log_dict({f"{split}/{name}": v for name, v in values.items()}, sync_dist=True)
        # four decimals tell single images of a million apart; the rest is float32's
        return {name: round(v, 4) if name in TOP else v for name, v in values.items()}

    def configure_optimizers(self) -> dict:
        return scheduled(self.make_optimizer(self.model), self.make_scheduler, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        about = {"task": TASK, "config": self.config, "run": self.run_description}
        checkpoint["predcnn"] = about
