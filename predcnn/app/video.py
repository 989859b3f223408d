"""Prediction of video as a task: build, describe, measure, draw."""

from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from predcnn.app.build import build_module
from predcnn.app.pictures import draw_curves, draw_sequences
from predcnn.app.results import split_values
from predcnn.app.saved_run import data_of, load_run, saved_metrics
from predcnn.app.task import Reopened, Task
from predcnn.data import SequenceDataModule
from predcnn.metrics import definitions
from predcnn.training.optim import constant_schedule
from predcnn.training.prediction import VideoPrediction


def build(cfg: DictConfig, datamodule: SequenceDataModule) -> VideoPrediction:
    """The module of ``cfg``; what is fitted without steps (the mean frame) is fitted."""
    module = build_module(cfg, datamodule)
    if hasattr(module.predictor, "fit"):
        module.predictor.fit(datamodule.train_dataloader())
    return module


def describe(module: VideoPrediction) -> dict[str, str]:
    """Model and translator."""
    config = module.config
    return {"model": config["name"], "translator": str(config.get("translator", "–"))}


def measured(module: VideoPrediction) -> dict:
    """Metrics of the predictor and of repeating the last frame, per frame too."""
    return {
        **split_values(module.test_results["test"], module.metric_names),
        "copy_last": split_values(module.test_results["copy_last"], module.metric_names),
        "definitions": definitions(module.metric_names),
    }


def show(results: dict) -> None:
    """Test metrics beside those of repeating the last frame."""
    data = results["data"]
    print(
        f"{results['name']} · {data['name']} {data['split']}, "
        f"{data['sequences'][data['split']]:,} sequences · protocol {data['protocol']} · "
        f"{data['source']}"
    )
    table = Table()
    table.add_column("metric")
    table.add_column("this run", justify="right")
    table.add_column("copy last", justify="right")
    for name, value in results["metrics"].items():
        other = results["copy_last"]["metrics"][name]
        table.add_row(name, *("inf" if v is None else f"{v:.4f}" for v in (value, other)))
    Console().print(table)


def draw(
    run_dir: Path, module: VideoPrediction, datamodule: SequenceDataModule, results: dict
) -> None:
    """The first test sequences, and the curves."""
    predictor = module.predictor.to("cpu")
    test_set = datamodule.split("test")
    title = f"{results['data']['name']} test ({results['data']['source']})"
    indices = range(min(4, len(test_set)))
    draw_sequences(
        run_dir / "predictions", test_set, {results["name"]: predictor}, indices, title=title
    )
    draw_curves(run_dir, results)


def reopen(cfg: DictConfig) -> Reopened:
    """The predictor and the data of ``cfg.ckpt_path``, with the changes ``cfg`` asks for."""
    saved = load_run(cfg.ckpt_path, cfg.trusted)
    datamodule = data_of(saved, cfg.data, cfg.trusted)
    metrics = list(cfg.metrics) if cfg.metrics else saved_metrics(saved)
    weights = cfg.lpips_weights or saved.settings["lpips_weights"]
    lpips = {"lpips": {"backbone_weights": weights}} if weights and "lpips" in metrics else None
    module = VideoPrediction(
        saved.predictor,
        objective=torch.nn.Identity(),
        optimizer=torch.optim.Adam,
        scheduler=constant_schedule,
        metrics=metrics,
        metric_options=lpips,
    )
    return Reopened(module, datamodule, saved.settings, saved.step, saved.epoch)


VIDEO = Task(
    name="prediction",
    metric="mse",
    build=build,
    describe=describe,
    measured=measured,
    show=show,
    draw=draw,
    reopen=reopen,
)
