"""results.json from a checkpoint alone."""

import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn.app.build import describe_device
from predcnn.app.console import quiet_libraries, say
from predcnn.app.provenance import fingerprint
from predcnn.app.results import collect, data_record, write_results
from predcnn.app.saved_run import load_run, merged_data, run_folder
from predcnn.app.summary import print_results
from predcnn.training.optim import constant_schedule
from predcnn.training.prediction import VideoPrediction


def evaluate(cfg: DictConfig) -> float:
    """Test a checkpoint as its run did, or on what ``data.…`` says; returns the MSE.

    Writes results.json into ``output`` (default: the run directory of the checkpoint).
    """
    quiet_libraries()
    saved = load_run(cfg.ckpt_path)
    run_cfg = saved.config
    datamodule = instantiate(merged_data(run_cfg, cfg.data))
    metrics = list(cfg.metrics or run_cfg.metrics)
    weights = cfg.lpips_weights or run_cfg.lpips_weights
    module = VideoPrediction(
        saved.predictor,
        objective=torch.nn.Identity(),
        optimizer=torch.optim.Adam,
        scheduler=constant_schedule,
        metrics=metrics,
        metric_options={"lpips": {"backbone_weights": weights}} if weights else None,
    )
    trainer = pl.Trainer(
        accelerator=cfg.accelerator, devices=1, logger=False, enable_checkpointing=False,
        enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    loaders = {"test": datamodule.test_dataloader, "val": datamodule.val_dataloader}
    if cfg.split not in loaders:
        raise ValueError(f"split={cfg.split!r}; accepted: test, val")
    started = time.perf_counter()
    trainer.test(module, dataloaders=loaders[cfg.split](), verbose=False)
    results = collect(
        module,
        data_record(datamodule, cfg.split),
        {"file": Path(cfg.ckpt_path).name, "step": saved.step, "epoch": saved.epoch},
        {
            "name": run_cfg.name,
            "seed": run_cfg.seed,
            "config_fingerprint": fingerprint(OmegaConf.create(run_cfg)),
            "device": describe_device(trainer),
            "timing": {"test_s": time.perf_counter() - started},
        },
    )
    folder = Path(cfg.output) if cfg.output else run_folder(cfg.ckpt_path)
    path = write_results(folder, results)
    print_results(results)
    say(f"written: {path}")
    return results["metrics"].get("mse", float("nan"))
