"""Pre-train a backbone on images without their labels, and write it for what comes after."""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn.app.build import description
from predcnn.app.console import say
from predcnn.app.pictures import draw_losses
from predcnn.app.results import finite
from predcnn.app.summary import show_metrics
from predcnn.app.task import Task
from predcnn.app.train import run
from predcnn.backbones.checkpoint import check_config
from predcnn.backbones.create import create_backbone
from predcnn.backbones.pretrained import save_pretrained
from predcnn.data import ImageDataModule
from predcnn.pretraining.masks import at_size
from predcnn.pretraining.method import fill
from predcnn.training.masked_images import DEFINITIONS, TASK, MaskedImages
from predcnn.visual import write_grid

SHOWN = 9


def pretrain_backbone(cfg: DictConfig) -> float:
    """One whole run of ``configs/pretrain_backbone.yaml``; returns the test loss.

    Beside what every run leaves, the run directory receives backbone.safetensors, for
    ``create_backbone(weights=…)``, and reconstructions.png.
    """
    return run(cfg, MASKED_IMAGES)


def build(cfg: DictConfig, datamodule: ImageDataModule) -> MaskedImages:
    """The method of ``cfg`` around its backbone, in its LightningModule."""
    if not isinstance(datamodule, ImageDataModule):
        raise ValueError(f"data={cfg.data.name} holds no images: say data=image_folder")
    sizes = {cfg.data.image_size, datamodule.in_shape[1]}
    if len(sizes) > 1:
        raise ValueError(
            f"masks are of one size: data.eval_size={datamodule.in_shape[1]} must be "
            f"data.image_size={cfg.data.image_size}"
        )
    config = {
        "name": cfg.backbone,
        "drop_path_rate": float(cfg.drop_path),
        **OmegaConf.to_container(cfg.backbone_options, resolve=True),
    }
    check_config(config)
    backbone = create_backbone(**config, num_classes=0)
    method = instantiate(cfg.method)(backbone=backbone, image_size=cfg.data.image_size)
    if cfg.channels_last:
        method.to(memory_format=torch.channels_last)
    words = OmegaConf.to_container(cfg.method, resolve=True)
    options = {key: value for key, value in words.items() if not key.startswith("_")}
    return MaskedImages(
        method,
        {**config, "image_size": cfg.data.image_size, "method": options},
        optimizer=instantiate(cfg.optimizer),
        scheduler=instantiate(cfg.scheduler),
        token_lr=float(cfg.token_lr),
        run=description(cfg, datamodule),
        seed=cfg.seed,
    )


def describe(module: MaskedImages) -> dict[str, str]:
    """Method and backbone; the costs beside them are the backbone's."""
    return {"method": module.config["method"]["name"], "backbone": module.config["name"]}


def measured(module: MaskedImages) -> dict:
    """The loss."""
    return {
        "metrics": {name: finite(value) for name, value in module.test_results.items()},
        "definitions": DEFINITIONS,
    }


def draw(run_dir: Path, module: MaskedImages, datamodule: ImageDataModule, results: dict) -> None:
    """backbone.safetensors, reconstructions.png and curves.png."""
    module = module.to("cpu").eval()
    draw_reconstructions(run_dir / "reconstructions.png", module, datamodule, results["name"])
    draw_losses(run_dir)
    about = {
        "backbone": module.config["name"],
        "method": module.config["method"]["name"],
        "config": module.config,
        "checkpoint": results["checkpoint"],
    }
    path = save_pretrained(module.network, run_dir / "backbone.safetensors", about)
    say(f"pre-trained backbone, for train_backbone.py weights=…: {path}")


def draw_reconstructions(
    path: Path, module: MaskedImages, datamodule: ImageDataModule, title: str
) -> None:
    """Original | masked | reconstruction of the first test images, hidden cells in grey."""

    dataset = datamodule.split("test")
    images, _ = dataset.batch(0, range(min(SHOWN, len(dataset))))
    with torch.inference_mode():
        found, mask = module.reconstruct(images, 0)
    options = datamodule.family.options
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (options.mean, options.std))

    def seen(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels * std + mean).clamp(0, 1)

    original = seen(images)
    columns = {
        "original": original,
        "masked": torch.where(at_size(mask, images.shape[2:]), 0.5, original),
        "reconstruction": seen(fill(images, found.pixels, mask)),
    }
    write_grid(path, columns, f"{title}: test images")


MASKED_IMAGES = Task(
    name=TASK,
    metric="loss",
    build=build,
    describe=describe,
    measured=measured,
    show=show_metrics,
    draw=draw,
)
