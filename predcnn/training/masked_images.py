"""The LightningModule of masked image models: masks by stream, losses, optimizer and schedule."""

from collections.abc import Callable, Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from predcnn.pretraining.method import MaskedImageModel, Reconstruction
from predcnn.training.optim import layered_optimizer, scheduled
from predcnn.training.streams import step_key

TASK = "masked_images"
DEFINITIONS = {
    "loss": "what the method minimises on hidden pixels, mean over images; compares runs of one "
    "method with equal masks and targets, never two methods"
}
EVALUATION = 2**31
"""Stream of the masks of validation and test: the same in every epoch and run."""


class MaskedImages(pl.LightningModule):
    """Train a masked image model on batches (images (B, 3, S, S), labels), which stay unread.

    Training logs ``train/loss`` and its parts, validation ``val/loss``; a test leaves
    ``test_results``. Every training batch draws its masks from a stream of its own, so that a
    resumed run hides what it would have hidden.

    Args:
        method: (images, masks) -> `Reconstruction`.
        config: plain values that say what ``method`` is, kept in every checkpoint.
        optimizer: parameter groups -> optimizer.
        scheduler: (optimizer, total_steps=n) -> schedule, stepped per optimiser step.
        token_lr: learning rate of the mask tokens, as a share of the others'.
        run: plain values that describe the run, kept in every checkpoint.
        seed: of the masks and of what the network itself draws.
    """

    metric_names = ("loss",)
    task = TASK

    def __init__(
        self,
        method: MaskedImageModel,
        config: Mapping[str, object],
        optimizer: Callable,
        scheduler: Callable,
        token_lr: float = 1.0,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.config = dict(config)
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.token_lr = token_lr
        self.run_description = dict(run or {})
        self.seed = seed
        self.test_results: dict[str, float] = {}
        self._meters: dict[str, MeanMetric] = {}

    @property
    def network(self) -> nn.Module:
        """The backbone that is wanted in the end."""
        return self.method.backbone

    def inputs(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """What of a batch is masked and reconstructed."""
        return batch[0]

    def masks(self, batch: int, key: int) -> Tensor:
        """Masks of a batch from a stream, on this module's device."""
        generator = torch.Generator().manual_seed(key)
        return self.method.masks(batch, generator).to(self.device)

    def reconstruct(self, images: Tensor, index: int) -> tuple[Reconstruction, Tensor]:
        """Evaluation batch ``index`` and its masks, without anything being learned."""
        mask = self.masks(len(images), step_key(EVALUATION, self.global_rank, index))
        return self.method(images, mask), mask

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images = self.inputs(batch)
        key = step_key(self.seed, self.global_rank, self.trainer.fit_loop.total_batch_idx)
        torch.manual_seed(key)
        found = self.method(images, self.masks(len(images), key))
        parts = {"loss": found.loss, **found.terms}
        rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()})
        self.log("train/lr", max(rates))
        return found.loss

    def on_validation_epoch_start(self) -> None:
        self._start("val")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measure("val", batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self._finish("val")

    def on_test_epoch_start(self) -> None:
        self._start("test")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measure("test", batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.test_results = self._finish("test")

    def _start(self, split: str) -> None:
        self._meters.setdefault(split, MeanMetric()).to(self.device).reset()

    def _measure(self, split: str, batch: tuple[Tensor, Tensor], index: int) -> None:
        images = self.inputs(batch)
        found, _ = self.reconstruct(images, index)
        self._meters[split].update(found.loss, weight=len(images))

    def _finish(self, split: str) -> dict[str, float]:
        loss = float(self._meters[split].compute())
        # the meter reduced over ranks; logging the same value on each keeps Lightning quiet
        self.log(f"{split}/loss", loss, sync_dist=True)
        return {"loss": loss}

    def configure_optimizers(self) -> dict:
        optimizer = layered_optimizer(self.method, optimizer=self.make_optimizer)
        if self.token_lr != 1:
            slow_down(optimizer, self.method.tokens(), self.token_lr)
        return scheduled(optimizer, self.make_scheduler, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        about = {"task": self.task, "config": self.config, "run": self.run_description}
        checkpoint["predcnn"] = about


def slow_down(optimizer: Optimizer, parameters: list[nn.Parameter], factor: float) -> None:
    """Give some of an optimizer's parameters ``factor`` times their learning rate."""
    chosen = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        slow = [p for p in group["params"] if id(p) in chosen]
        if slow:
            group["params"] = [p for p in group["params"] if id(p) not in chosen]
            options = {key: value for key, value in group.items() if key != "params"}
            optimizer.add_param_group({**options, "params": slow, "lr": group["lr"] * factor})
