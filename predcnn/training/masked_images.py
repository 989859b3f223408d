"""Training of masked image models: masks by stream, losses, weights for fine-tuning."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from predcnn.backbones.pretrained import save_pretrained
from predcnn.data import ImageDataModule
from predcnn.pretraining.masks import at_size
from predcnn.pretraining.method import MaskedImageModel, Reconstruction, fill
from predcnn.training.module import TrainingModule, step_key
from predcnn.training.optim import layered_optimizer
from predcnn.training.run_pictures import draw_losses
from predcnn.visual import write_grid

EVALUATION = 2**31
"""Stream of the masks of validation and test: the same in every epoch and run."""
DRAWN = 9  # test images


class MaskedImages(TrainingModule):
    """Train a masked image model on batches (images (B, 3, S, S), labels); labels are not used.

    Args:
        method: (images, masks) -> `Reconstruction`.
        config: plain values that describe ``method``, saved in every checkpoint.
        token_lr: learning rate of the mask tokens, as a share of the others'.
        optimizer, scheduler, run, seed: see `TrainingModule`.
    """

    task = "masked_images"
    definition = (
        "what the method minimises on hidden pixels, mean over images; compares runs of one "
        "method with equal masks and targets, never two methods"
    )

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
        super().__init__(optimizer, scheduler, run, seed)
        self.method = method
        self.config = dict(config)
        self.token_lr = token_lr

    @property
    def network(self) -> nn.Module:
        """The backbone."""
        return self.method.backbone

    def build_optimizer(self) -> Optimizer:
        optimizer = layered_optimizer(self.method, optimizer=self.make_optimizer)
        if self.token_lr != 1:
            slow_down(optimizer, self.method.tokens(), self.token_lr)
        return optimizer

    def inputs(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the part of a batch that is masked and reconstructed."""
        return batch[0]

    def masks(self, batch: int, key: int) -> Tensor:
        """Draw masks of a batch from a stream, on this module's device."""
        generator = torch.Generator().manual_seed(key)
        return self.method.masks(batch, generator).to(self.device)

    def reconstruct(self, images: Tensor, index: int) -> tuple[Reconstruction, Tensor]:
        """Reconstruct evaluation batch ``index``; return the result and the masks."""
        mask = self.masks(len(images), step_key(EVALUATION, self.global_rank, index))
        return self.method(images, mask), mask

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images = self.inputs(batch)
        found = self.method(images, self.masks(len(images), self.stream()))
        parts = {"loss": found.loss, **found.terms}
        self.log_dict({f"train/{name}": value.detach() for name, value in parts.items()})
        self.log_rate()
        return found.loss

    def new_meters(self, split: str) -> dict[str, MeanMetric]:
        return {"loss": MeanMetric()}

    def measure(self, meters: Mapping, batch: tuple[Tensor, Tensor], index: int) -> None:
        images = self.inputs(batch)
        found, _ = self.reconstruct(images, index)
        meters["loss"].update(found.loss, weight=len(images))

    def describe(self) -> dict[str, str]:
        return {"method": self.config["method"]["name"], "backbone": self.config["name"]}

    def results(self) -> dict[str, dict]:
        return {"metrics": dict(self.test_results), "definitions": {"loss": self.definition}}

    def draw(self, run_dir: Path, datamodule: ImageDataModule, results: dict) -> None:
        """Write reconstructions.png and curves.png."""
        dataset = datamodule.split("test")
        images, _ = dataset.batch(0, range(min(DRAWN, len(dataset))))
        options = datamodule.family.options
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (options.mean, options.std))
        title = f"{results['name']}: test images"
        self._draw_columns(run_dir, images, lambda x: (x * std + mean).clamp(0, 1), title)

    def save_weights(self, run_dir: Path, results: dict) -> None:
        """Write backbone.safetensors."""
        about = {
            "backbone": self.config["name"],
            "method": self.config["method"]["name"],
            "config": self.config,
            "checkpoint": results["checkpoint"],
        }
        path = save_pretrained(self.network, run_dir / "backbone.safetensors", about)
        print(f"pre-trained backbone, for train_backbone.py weights=…: {path}", flush=True)

    def _draw_columns(self, run_dir: Path, images: Tensor, shown: Callable, title: str) -> None:
        """Draw original | masked (hidden cells in grey) | reconstruction, and the losses."""
        self.to("cpu").eval()
        with torch.inference_mode():
            found, mask = self.reconstruct(images, 0)
        images = images.reshape(-1, *images.shape[-3:])  # of video, the frames
        original = shown(images)
        columns = {
            "original": original,
            "masked": torch.where(at_size(mask, images.shape[2:]), 0.5, original),
            "reconstruction": shown(fill(images, found.pixels, mask)),
        }
        write_grid(run_dir / "reconstructions.png", columns, title)
        draw_losses(run_dir)


def slow_down(optimizer: Optimizer, parameters: list[nn.Parameter], factor: float) -> None:
    """Give some of an optimizer's parameters ``factor`` times their learning rate."""
    chosen = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        slow = [p for p in group["params"] if id(p) in chosen]
        if slow:
            group["params"] = [p for p in group["params"] if id(p) not in chosen]
            options = {key: value for key, value in group.items() if key != "params"}
            optimizer.add_param_group({**options, "params": slow, "lr": group["lr"] * factor})
