"""Training of masked image models: masks by stream, losses, weights for fine-tuning."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from predcnn.backbones.pretrained import save_pretrained
from predcnn.data import ImageDataModule, SequenceDataModule
from predcnn.pretraining.masks import at_size
from predcnn.pretraining.method import MaskedImageModel, Reconstruction, fill
from predcnn.training.module import TrainingModule, step_key
from predcnn.training.optim import layered_optimizer
from predcnn.visual import Panel, frame_image, plot_panels

EVALUATION = 2**31
"""Stream of the masks of validation and test: the same in every epoch and run."""
DRAWN = 9  # test images


class MaskedImages(TrainingModule):
    """Train a masked image model on batches (images (B, 3, S, S), labels); labels are not used.

    Args (others: see `TrainingModule`):
        method: (images, masks) -> `Reconstruction`.
        config: plain values that describe ``method``, saved in every checkpoint.
        token_lr: learning rate of the mask tokens, as a share of the others'.
    """

    task = "masked_images"
    definition = (
        "the method's loss on hidden pixels, mean over images; compares runs of one method with "
        "equal masks and targets, never two methods"
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
        return self.method.backbone

    def build_optimizer(self) -> Optimizer:
        optimizer = layered_optimizer(self.method, optimizer=self.make_optimizer)
        if self.token_lr != 1:
            slow_down(optimizer, self.method.tokens(), self.token_lr)
        return optimizer

    def inputs(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the part of a batch that is masked and reconstructed."""
        return batch[0]

    def reconstruct(self, images: Tensor, key: int) -> tuple[Reconstruction, Tensor]:
        """Reconstruct a batch whose masks are drawn with seed ``key``; return result and masks."""
        masks = self.method.masks(len(images), torch.Generator().manual_seed(key)).to(self.device)
        return self.method(images, masks), masks

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        found, _ = self.reconstruct(self.inputs(batch), self.stream())
        self.log_step({"loss": found.loss, **found.terms})
        return found.loss

    def new_meters(self, split: str) -> dict[str, MeanMetric]:
        return {"loss": MeanMetric()}

    def measure(self, meters: Mapping, batch: tuple[Tensor, Tensor], index: int) -> None:
        images = self.inputs(batch)
        found, _ = self.reconstruct(images, step_key(EVALUATION, self.global_rank, index))
        meters["loss"].update(found.loss, weight=len(images))

    def describe(self) -> dict[str, str]:
        return {"method": self.config["method"]["name"], "backbone": self.config["name"]}

    def results(self) -> dict[str, dict]:
        return {"metrics": dict(self.test_results), "definitions": {"loss": self.definition}}

    def drawn(self, datamodule: ImageDataModule) -> tuple[Tensor, Callable, str]:
        """Return the inputs of `draw`, a function that converts them to images, and a title."""
        dataset = datamodule.split("test")
        images, _ = dataset.batch(0, range(min(DRAWN, len(dataset))))
        options = datamodule.family.options
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (options.mean, options.std))
        return images, lambda x: x * std + mean, "test images"

    def draw(
        self, run_dir: Path, datamodule: ImageDataModule | SequenceDataModule, results: dict
    ) -> None:
        """Write curves.png, and reconstructions.png: rows original, masked, reconstruction."""
        images, shown, title = self.drawn(datamodule)
        self.to("cpu").eval()
        with torch.inference_mode():
            found, mask = self.reconstruct(images, step_key(EVALUATION, 0, 0))
        images = images.reshape(-1, *images.shape[-3:])  # of video, the frames
        original = shown(images).clamp(0, 1)
        forms = {
            "original": original,
            "masked": torch.where(at_size(mask, images.shape[2:]), 0.5, original),
            "reconstruction": shown(fill(images, found.pixels, mask)).clamp(0, 1),
        }
        rows = [[Panel(frame_image(image)) for image in form] for form in forms.values()]
        path, title = run_dir / "reconstructions.png", f"{results['name']}: {title}"
        plot_panels(path, rows, list(forms), title)
        super().draw(run_dir, datamodule, results)

    def save_weights(self, run_dir: Path, results: dict) -> None:
        """Write backbone.safetensors."""
        about = {**self.describe(), "config": self.config, "checkpoint": results["checkpoint"]}
        path = save_pretrained(self.network, run_dir / "backbone.safetensors", about)
        print(f"pre-trained backbone, for train_backbone.py weights=…: {path}", flush=True)


def slow_down(optimizer: Optimizer, parameters: list[nn.Parameter], factor: float) -> None:
    """Give some of an optimizer's parameters ``factor`` times their learning rate."""
    chosen = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        slow = [p for p in group["params"] if id(p) in chosen]
        if slow:
            group["params"] = [p for p in group["params"] if id(p) not in chosen]
            optimizer.add_param_group({**group, "params": slow, "lr": group["lr"] * factor})
