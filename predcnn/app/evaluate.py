"""results.json from a checkpoint alone."""

import time
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from predcnn.app.build import describe_device
from predcnn.app.classifier import CLASSIFICATION
from predcnn.app.console import quiet_libraries, say
from predcnn.app.provenance import command
from predcnn.app.results import collect, write_results
from predcnn.app.saved_run import run_folder, task_name
from predcnn.app.video import VIDEO

TASKS = {task.name: task for task in (VIDEO, CLASSIFICATION)}


def evaluate(cfg: DictConfig) -> float:
    """Test a checkpoint as its run did, or on what ``data.…`` says; returns its first metric.

    Writes into ``output`` (default: the run directory): results.json where this repeats what the
    run itself measured, else a file whose name says what differs.
    """
    quiet_libraries()
    task = TASKS[task_name(cfg.ckpt_path, TASKS)]
    saved = task.reopen(cfg)
    module, datamodule = saved.module, saved.datamodule
    loaders = {"test": datamodule.test_dataloader, "val": datamodule.val_dataloader}
    if cfg.split not in loaders:
        raise ValueError(f"split={cfg.split!r}; accepted: test, val")
    precision = saved.settings.get("trainer", {}).get("precision", "32-true")
    trainer = pl.Trainer(
        accelerator=cfg.accelerator, devices=1, precision=precision, logger=False,
        enable_checkpointing=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    started = time.perf_counter()
    trainer.test(module, dataloaders=loaders[cfg.split](), verbose=False)
    run = {
        "name": saved.settings["name"],
        "seed": saved.settings["seed"],
        "command": command(),
        "config_fingerprint": saved.settings.get("config_fingerprint"),
        "device": describe_device(trainer),
        "timing": {"test_s": time.perf_counter() - started},
    }
    checkpoint = {"file": Path(cfg.ckpt_path).name, "step": saved.step, "epoch": saved.epoch}
    results = collect(task, module, datamodule, cfg.split, checkpoint, run)
    folder = Path(cfg.output) if cfg.output else run_folder(cfg.ckpt_path)
    path = write_results(folder, results, _file_name(cfg))
    task.show(results)
    say(f"written: {path}")
    return results["metrics"].get(task.metric, float("nan"))


def _file_name(cfg: DictConfig) -> str:
    """results.json for the test of the best weights on the run's own data."""
    stem = Path(cfg.ckpt_path).stem
    changed = sorted(key for key, value in cfg.data.items() if value is not None)
    if stem == "best" and cfg.split == "test" and not changed:
        return "results.json"
    words = [stem, cfg.split, *(f"{key}-changed" for key in changed)]
    return f"results_{'_'.join(words)}.json"
