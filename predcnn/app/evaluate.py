"""Recompute results.json from a checkpoint alone."""

import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig

from predcnn.app.console import quiet_libraries, say
from predcnn.app.provenance import command
from predcnn.app.results import collect, print_results
from predcnn.app.saved_run import data_of, given_values, images_of, load_run, run_folder, task_name
from predcnn.backbones.checkpoint import load_backbone, read_classifier
from predcnn.checks import one_of
from predcnn.data.datamodule import SplitDataModule
from predcnn.files import write_json
from predcnn.metrics import METRICS
from predcnn.predictors.checkpoint import WEIGHTS, weights_file
from predcnn.training.classification import ImageClassification
from predcnn.training.module import TrainingModule
from predcnn.training.prediction import VideoPrediction

Opened = tuple[TrainingModule, SplitDataModule, dict]


def evaluate(cfg: DictConfig) -> float:
    """Test a checkpoint as its run did, or on the data of ``data.…``; return its first metric.

    Writes into ``output`` (default: the run directory): results.json where this repeats the run's
    own test, otherwise a file named after the differences.
    """
    quiet_libraries()
    path = str(weights_file(cfg.ckpt_path))
    module, datamodule, checkpoint = OPEN[task_name(path, OPEN)](path, cfg)
    settings = module.run_description
    loaders = {"test": datamodule.test_dataloader, "val": datamodule.val_dataloader}
    one_of("split", cfg.split, loaders)
    trainer = pl.Trainer(
        accelerator=cfg.accelerator,
        devices=1,
        precision=settings.get("trainer", {}).get("precision", "32-true"),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module.prepare_test(datamodule)
    started = time.perf_counter()
    trainer.test(module, dataloaders=loaders[cfg.split](), verbose=False)
    timing = {"test_s": time.perf_counter() - started}
    results = collect(trainer, module, datamodule, cfg.split, checkpoint, command(), timing)
    target = (Path(cfg.output) if cfg.output else run_folder(cfg.ckpt_path)) / _file_name(path, cfg)
    write_json(target, results)
    print_results(results)
    say(f"written: {target}")
    return results["metrics"].get(module.metric, float("nan"))


def _open_predictor(path: str, cfg: DictConfig) -> Opened:
    saved = load_run(path, cfg.trusted)
    datamodule = data_of(saved, cfg.data, cfg.trusted)
    needed = saved.predictor.in_shape[0]
    if datamodule.frames_in != needed:
        raise ValueError(
            f"the checkpoint needs {needed} past frames: data.frames_in={needed}, not "
            f"{datamodule.frames_in}"
        )
    metrics = list(cfg.metrics or saved.settings["metrics"])
    foreign = [name for name in metrics if name not in METRICS]
    if foreign and not cfg.metrics:  # a checkpoint must not choose modules to import
        raise ValueError(f"the checkpoint asks for metrics {foreign}; give metrics=[…]")
    weights = cfg.lpips_weights or saved.settings["lpips_weights"]
    lpips = {"lpips": {"backbone_weights": weights}} if weights and "lpips" in metrics else None
    module = VideoPrediction(
        saved.predictor,
        metrics=metrics,
        metric_options=lpips,
        units=datamodule.units,
        run=saved.settings,
    )
    return module, datamodule, {"file": Path(path).name, "step": saved.step, "epoch": saved.epoch}


def _open_classifier(path: str, cfg: DictConfig) -> Opened:
    if cfg.metrics or cfg.lpips_weights:
        raise ValueError("metrics and lpips_weights are for predictors; this is a classifier")
    about, _ = read_classifier(path)
    backbone, settings = load_backbone(path, trusted=cfg.trusted), about["run"]
    if settings.get("channels_last"):  # another layout rounds differently
        backbone.to(memory_format=torch.channels_last)
    module = ImageClassification(backbone, about["config"], run=settings)
    checkpoint = {"file": Path(path).name, "step": about["step"], "epoch": about["epoch"]}
    return module, images_of(settings, cfg.data), checkpoint


OPEN = {VideoPrediction.task: _open_predictor, ImageClassification.task: _open_classifier}


def _file_name(path: str, cfg: DictConfig) -> str:
    """Return results.json for the run's own test, else a name with the differences."""
    file, changed = Path(path), sorted(given_values(cfg.data))
    stem = file.parent.name if file.name == WEIGHTS else file.stem  # a folder of weights
    if stem == "best" and cfg.split == "test" and not changed:
        return "results.json"
    return f"results_{'_'.join([stem, cfg.split, *(f'{key}-changed' for key in changed)])}.json"
