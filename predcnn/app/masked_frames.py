"""Pre-training of a predictor on masked frames as a task: build, measure, draw, write."""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from predcnn.app.build import build_predictor, description
from predcnn.app.console import say
from predcnn.app.pictures import draw_losses
from predcnn.app.results import finite
from predcnn.app.summary import show_metrics
from predcnn.app.task import Task
from predcnn.app.video import describe
from predcnn.data import SequenceDataModule, to_float
from predcnn.predictors.checkpoint import save_predictor
from predcnn.pretraining.masks import at_size
from predcnn.pretraining.method import fill
from predcnn.training.masked_frames import DEFINITIONS, TASK, MaskedVideo
from predcnn.visual import write_grid


def build(cfg: DictConfig, datamodule: SequenceDataModule) -> MaskedVideo:
    """The predictor of ``cfg.model.net`` behind masks, in its LightningModule."""
    predictor = build_predictor(cfg)
    return MaskedVideo(
        instantiate(cfg.objective)(predictor),
        predictor.config,
        optimizer=instantiate(cfg.optimizer),
        scheduler=instantiate(cfg.scheduler),
        run=description(cfg, datamodule),
        seed=cfg.seed,
    )


def measured(module: MaskedVideo) -> dict:
    """The loss."""
    return {
        "metrics": {name: finite(value) for name, value in module.test_results.items()},
        "definitions": DEFINITIONS,
    }


def draw(run_dir: Path, module: MaskedVideo, datamodule: SequenceDataModule, results: dict) -> None:
    """predictor.safetensors, reconstructions.png (a test sequence) and curves.png."""
    module = module.to("cpu").eval()
    past = module.inputs(to_float(datamodule.split("test").batch(0, [0])))
    with torch.inference_mode():
        found, mask = module.reconstruct(past, 0)
    frames = past[0]
    columns = {
        "original": frames,
        "masked": torch.where(at_size(mask, frames.shape[2:]), 0.5, frames),
        "reconstruction": fill(frames, found.pixels, mask).clamp(0, 1),
    }
    title = f"{results['name']}: past frames of a test sequence"
    write_grid(run_dir / "reconstructions.png", columns, title)
    draw_losses(run_dir)
    path = save_predictor(module.network, run_dir / "predictor.safetensors", module.run_description)
    say(f"pre-trained predictor, for train.py weights=…: {path}")


MASKED_FRAMES = Task(
    name=TASK,
    metric="loss",
    build=build,
    describe=describe,
    measured=measured,
    show=show_metrics,
    draw=draw,
)
