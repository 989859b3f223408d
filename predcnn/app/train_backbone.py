"""Train an ImageNet backbone on a folder of images, choose by validation, test once."""

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from timm.data import Mixup

from predcnn.app.build import description, set_layout
from predcnn.app.train import run
from predcnn.backbones.checkpoint import check_config
from predcnn.backbones.create import create_backbone
from predcnn.data import ImageDataModule
from predcnn.training.classification import ImageClassification


def train_backbone(cfg: DictConfig) -> float:
    """Train as ``configs/train_backbone.yaml`` says; return the test's top-1 in percent."""
    return run(cfg, build)


def build(cfg: DictConfig, datamodule: ImageDataModule) -> ImageClassification:
    """Build the backbone, with a logit per class of the data, and the module that trains it."""
    if not isinstance(datamodule, ImageDataModule):
        raise ValueError(f"data={cfg.data.name} has no images with classes: use data=image_folder")
    config = backbone_config(cfg, num_classes=len(datamodule.classes))
    backbone = create_backbone(**config, weights=cfg.weights)
    set_layout(cfg, backbone)
    return ImageClassification(
        backbone,
        config,
        loss=instantiate(cfg.loss),
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        scheduler=instantiate(cfg.scheduler),
        layer_decay=cfg.layer_decay,
        mix=_mixer(cfg, len(datamodule.classes)),
        run={**description(cfg, datamodule), "classes": datamodule.classes},
        seed=cfg.seed,
    )


def backbone_config(cfg: DictConfig, **more: int) -> dict[str, object]:
    """Return the arguments of `predcnn.create_backbone` that checkpoints keep."""
    config = {
        "name": cfg.backbone,
        **more,
        "drop_path_rate": float(cfg.drop_path),
        **OmegaConf.to_container(cfg.backbone_options, resolve=True),
    }
    check_config(config)
    return config


def _mixer(cfg: DictConfig, classes: int) -> Mixup | None:
    """Build timm's Mixup and CutMix; the loss smooths labels."""
    if not (cfg.mixing.mixup_alpha or cfg.mixing.cutmix_alpha):
        return None
    if cfg.data.batch_size % 2:
        raise ValueError(
            f"data.batch_size={cfg.data.batch_size}: images are mixed in pairs, give an even number"
        )
    return Mixup(**cfg.mixing, num_classes=classes, label_smoothing=0.0)
