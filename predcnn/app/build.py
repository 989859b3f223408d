"""From a composed configuration to the objects of a run."""

from pathlib import Path

import lightning.pytorch as pl
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.callbacks import EMAWeightAveraging
from omegaconf import DictConfig

from predcnn.app.provenance import plain
from predcnn.training.callbacks import ProgressBar
from predcnn.training.prediction import VideoPrediction


def check_choices(cfg: DictConfig) -> None:
    """Refuse ``translator=[a,b]``: Hydra merges the files and would quietly keep the last block."""
    if "translator" not in cfg or not HydraConfig.initialized():
        return
    hydra = HydraConfig.get()
    if "translator" not in hydra.runtime.choices:  # Hydra records single choices only
        given = next(word for word in hydra.overrides.task if word.startswith("translator="))
        raise ValueError(
            f"{given} would merge several translator files into one; a stack of different blocks "
            f"is translator=stack 'translator.blocks={given.removeprefix('translator=')}'"
        )


def build_module(cfg: DictConfig) -> VideoPrediction:
    """The predictor of ``cfg.model.net`` in its LightningModule."""
    predictor = instantiate(cfg.model.net)
    if cfg.compile:
        predictor.compile()
    lpips = {"backbone_weights": cfg.lpips_weights} if cfg.lpips_weights else {}
    return VideoPrediction(
        predictor,
        objective=instantiate(cfg.objective),
        optimizer=instantiate(cfg.optimizer),
        scheduler=instantiate(cfg.scheduler),
        metrics=list(cfg.metrics),
        metric_options={"lpips": lpips} if lpips else None,
        run=plain(cfg),
        seed=cfg.seed,
    )


def build_trainer(cfg: DictConfig, run_dir: Path) -> pl.Trainer:
    """The Trainer of ``cfg.trainer`` with the callbacks and loggers of their groups."""
    callbacks = [instantiate(part) for part in cfg.callbacks.values() if part is not None]
    if not cfg.trainer.enable_progress_bar:
        callbacks = [part for part in callbacks if not isinstance(part, ProgressBar)]
    if cfg.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=cfg.ema, use_buffers=True))
    loggers = [instantiate(part) for part in cfg.logger.values() if part is not None]
    root = cfg.trainer.default_root_dir or str(run_dir)
    return instantiate(cfg.trainer, callbacks=callbacks, logger=loggers, default_root_dir=root)


def describe_device(trainer: pl.Trainer) -> str:
    """What the run computes on, in words."""
    device = trainer.strategy.root_device
    count = f"{trainer.world_size} × " if trainer.world_size > 1 else ""
    return f"{count}{device.type}, precision {trainer.precision}"
