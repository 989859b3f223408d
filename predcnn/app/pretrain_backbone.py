"""Pre-train a backbone on images without labels, and save it for fine-tuning."""

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn.app.build import description
from predcnn.app.train import run
from predcnn.app.train_backbone import backbone_config
from predcnn.backbones.create import create_backbone
from predcnn.data import ImageDataModule
from predcnn.training.masked_images import MaskedImages


def pretrain_backbone(cfg: DictConfig) -> float:
    """Pre-train as ``configs/pretrain_backbone.yaml`` says; return the test loss.

    The run directory also receives backbone.safetensors, for ``create_backbone(weights=…)``, and
    reconstructions.png.
    """
    return run(cfg, build)


def build(cfg: DictConfig, datamodule: ImageDataModule) -> MaskedImages:
    """Build the pre-training method around its backbone, and the module that trains it."""
    if not isinstance(datamodule, ImageDataModule):
        raise ValueError(f"data={cfg.data.name} has no images: use data=image_folder")
    if datamodule.in_shape[1] != cfg.data.image_size:
        raise ValueError(
            f"masks are of one size: data.eval_size={datamodule.in_shape[1]} must be "
            f"data.image_size={cfg.data.image_size}"
        )
    config = backbone_config(cfg)
    backbone = create_backbone(**config, num_classes=0)
    method = instantiate(cfg.method)(backbone=backbone, image_size=cfg.data.image_size)
    if cfg.channels_last:
        method.to(memory_format=torch.channels_last)
    settings = OmegaConf.to_container(cfg.method, resolve=True)
    options = {key: value for key, value in settings.items() if not key.startswith("_")}
    return MaskedImages(
        method,
        {**config, "image_size": cfg.data.image_size, "method": options},
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        scheduler=instantiate(cfg.scheduler),
        token_lr=float(cfg.token_lr),
        run=description(cfg, datamodule),
        seed=cfg.seed,
    )
