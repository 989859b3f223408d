"""Training of image classifiers: mixed images, accuracy."""

from collections.abc import Callable, Mapping

from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from predcnn.backbones.checkpoint import TASK
from predcnn.data.processes import seed_process
from predcnn.training.module import TrainingModule
from predcnn.training.optim import layered_optimizer

TOP = {"top1": 1, "top5": 5}
DEFINITIONS = {
    "top1": "share of images whose class has the largest logit, in percent",
    "top5": "share of images whose class is among the five largest logits, in percent",
    "loss": "cross-entropy of the logits, nats, mean over images",
}


class ImageClassification(TrainingModule):
    """Train and evaluate a backbone on batches (images (B, 3, H, W), labels (B,)).

    Measures ``top1``, ``top5`` (with more than five classes) and ``loss``.

    Args (others: see `TrainingModule`):
        model: images -> logits (B, classes).
        config: arguments of `predcnn.create_backbone` that rebuild ``model``.
        loss: (logits, labels (B,) or shares of classes (B, classes)) -> scalar; None to test only.
        layer_decay: see `predcnn.training.optim.layered_optimizer`.
        mix: (images, labels) -> (images, shares of classes): `timm.data.Mixup`, or None.
    """

    task = TASK
    metric = "top1"

    def __init__(
        self,
        model: nn.Module,
        config: Mapping[str, object],
        loss: nn.Module | None = None,
        optimizer: Callable | None = None,
        scheduler: Callable | None = None,
        layer_decay: float | None = None,
        mix: Callable | None = None,
        run: Mapping | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(optimizer, scheduler, run, seed)
        self.model = model
        self.config = dict(config)
        self.loss, self.layer_decay = loss, layer_decay
        self.mix = mix
        self.classes: int = config["num_classes"]
        self.metric_names = (*(n for n, k in TOP.items() if k == 1 or k < self.classes), "loss")

    @property
    def network(self) -> nn.Module:
        return self.model

    def build_optimizer(self) -> Optimizer:
        return layered_optimizer(
            self.model, optimizer=self.make_optimizer, layer_decay=self.layer_decay
        )

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = batch
        if self.mix is not None:
            with isolate_rng(include_cuda=False):
                seed_process(self.stream())
                images, targets = self.mix(images, targets)
        loss = self.loss(self._logits(images), targets)
        self.log_step({"loss": loss})
        return loss

    def _logits(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        if logits.ndim != 2 or logits.shape[1] != self.classes:
            raise ValueError(
                f"{self.config['name']} gives {tuple(logits.shape)}, not logits (images, "
                f"{self.classes})"
            )
        return logits

    def new_meters(self, split: str) -> dict[str, MeanMetric]:
        return {name: MeanMetric() for name in self.metric_names}

    def measure(self, meters: Mapping, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        logits = self._logits(images).float()
        meters["loss"].update(cross_entropy(logits, labels, reduction="none"))
        for name in self.metric_names[:-1]:
            best = logits.topk(TOP[name]).indices
            meters[name].update(100.0 * (best == labels[:, None]).any(1))

    def describe(self) -> dict[str, str]:
        return {"backbone": self.config["name"]}

    def results(self) -> dict[str, dict]:
        values = {name: self.test_results[name] for name in self.metric_names}
        # four decimals distinguish single images of a million; the rest is float32 rounding
        values |= {name: round(values[name], 4) for name in TOP if name in values}
        return {"metrics": values, "definitions": {name: DEFINITIONS[name] for name in values}}
