"""Classification of images as a task: build, describe, measure, draw."""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from timm.data import Mixup

from predcnn.app.build import description, lay_out
from predcnn.app.pictures import draw_losses
from predcnn.app.results import finite
from predcnn.app.saved_run import data_options, said_of, unchanged
from predcnn.app.summary import show_metrics
from predcnn.app.task import Reopened, Task
from predcnn.backbones.checkpoint import TASK, check_config, load_backbone, read_classifier
from predcnn.backbones.create import create_backbone
from predcnn.data import ImageDataModule, create_image_datamodule
from predcnn.training.classification import DEFINITIONS, ImageClassification
from predcnn.training.optim import constant_schedule, layered_optimizer


def build(cfg: DictConfig, datamodule: ImageDataModule) -> ImageClassification:
    """The backbone of ``cfg`` with a logit per class of the data, in its LightningModule."""
    if not isinstance(datamodule, ImageDataModule):
        raise ValueError(f"data={cfg.data.name} holds no classified images: say data=image_folder")
    config = {
        "name": cfg.backbone,
        "num_classes": len(datamodule.classes),
        "drop_path_rate": float(cfg.drop_path),
        **OmegaConf.to_container(cfg.backbone_options, resolve=True),
    }
    check_config(config)
    backbone = create_backbone(**config, weights=cfg.weights)
    lay_out(cfg, backbone)
    make = instantiate(cfg.optimizer)
    return ImageClassification(
        backbone,
        config,
        loss=instantiate(cfg.loss),
        optimizer=lambda network: layered_optimizer(
            network, optimizer=make, layer_decay=cfg.layer_decay
        ),
        scheduler=instantiate(cfg.scheduler),
        mix=_mixer(cfg, len(datamodule.classes)),
        run={**description(cfg, datamodule), "classes": datamodule.classes},
        seed=cfg.seed,
    )


def _mixer(cfg: DictConfig, classes: int) -> Mixup | None:
    """timm's Mixup and CutMix; the loss, not it, smooths labels."""
    if not (cfg.mixing.mixup_alpha or cfg.mixing.cutmix_alpha):
        return None
    if cfg.data.batch_size % 2:
        raise ValueError(
            f"data.batch_size={cfg.data.batch_size}: images are mixed in pairs, give an even number"
        )
    return Mixup(**cfg.mixing, num_classes=classes, label_smoothing=0.0)


def describe(module: ImageClassification) -> dict[str, str]:
    """The backbone."""
    return {"backbone": module.config["name"]}


def measured(module: ImageClassification) -> dict:
    """Accuracies in percent, and the loss."""
    return {
        "metrics": {name: finite(module.test_results[name]) for name in module.metric_names},
        "definitions": {name: DEFINITIONS[name] for name in module.metric_names},
    }


def draw(
    run_dir: Path, module: ImageClassification, datamodule: ImageDataModule, results: dict
) -> None:
    """curves.png: the losses by step, where some were logged."""
    draw_losses(run_dir)


def reopen(cfg: DictConfig) -> Reopened:
    """The classifier and the images of ``cfg.ckpt_path``, with the changes ``cfg`` asks for."""
    if cfg.metrics or cfg.lpips_weights:
        raise ValueError("metrics and lpips_weights are for predictors; this is a classifier")
    about, _ = read_classifier(cfg.ckpt_path)
    backbone, settings = load_backbone(cfg.ckpt_path, trusted=cfg.trusted), about["run"]
    if settings.get("channels_last"):  # another layout rounds otherwise
        backbone.to(memory_format=torch.channels_last)
    said = said_of(cfg.data)
    datamodule = create_image_datamodule(**data_options(settings, said))
    unchanged(datamodule, settings, said)
    if datamodule.classes != settings["classes"]:
        raise ValueError(
            f"{datamodule.source} has other classes than the checkpoint: "
            f"{len(datamodule.classes)} there, {len(settings['classes'])} here, and the same "
            "names are needed"
        )
    module = ImageClassification(
        backbone,
        about["config"],
        loss=torch.nn.CrossEntropyLoss(),
        optimizer=lambda network: torch.optim.SGD(network.parameters()),
        scheduler=constant_schedule,
    )
    return Reopened(module, datamodule, settings, int(about["step"]), int(about["epoch"]))


CLASSIFICATION = Task(
    name=TASK,
    metric="top1",
    build=build,
    describe=describe,
    measured=measured,
    show=show_metrics,
    draw=draw,
    reopen=reopen,
)
