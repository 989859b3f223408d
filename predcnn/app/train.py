"""Train, choose by validation, test once, draw."""

import os
import time
from pathlib import Path

import lightning.pytorch as pl
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from predcnn import native
from predcnn.app import resume
from predcnn.app.allocator import keep_memory
from predcnn.app.build import build_trainer, check_choices, describe_device
from predcnn.app.console import quiet_libraries, say
from predcnn.app.files import check_writable, write_json, write_text
from predcnn.app.masked_frames import MASKED_FRAMES
from predcnn.app.provenance import fingerprint, git_state, versions
from predcnn.app.results import collect, write_results
from predcnn.app.summary import print_start
from predcnn.app.task import Task
from predcnn.app.video import VIDEO
from predcnn.pretraining.masked_frames import MaskedFrames
from predcnn.training.callbacks import Checkpoint, Effort
from predcnn.training.csv_logger import CSVLogger
from predcnn.weights.files import read_pickle


def train(cfg: DictConfig) -> float:
    """One whole run of ``configs/train.yaml``; returns the test MSE (for sweepers).

    With ``objective=masked_frames`` a pre-training; then the test loss.
    """
    check_choices(cfg)
    objective = get_object(cfg.objective._target_)
    masked = isinstance(objective, type) and issubclass(objective, MaskedFrames)
    return run(cfg, MASKED_FRAMES if masked else VIDEO)


def run(cfg: DictConfig, task: Task) -> float:
    """Train what ``task`` builds, test it once; returns the task's first test metric.

    The run directory receives config.yaml, run.json, environment.json, metrics.csv, timing.csv,
    checkpoints/best.ckpt and last.ckpt, what the task draws, and results.json.
    """
    quiet_libraries()
    run_dir, ckpt_path = _place(cfg)
    cfg.run_dir = str(run_dir)
    check_writable(run_dir)
    if cfg.keep_memory:
        keep_memory()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    module = task.build(cfg, datamodule)
    trainer = build_trainer(cfg, run_dir)
    if ckpt_path is not None:
        step = resume.read_state(ckpt_path, module.config)["global_step"]
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                logger.resume_at(step)
    if trainer.is_global_zero:
        _describe(cfg, run_dir, datamodule.fingerprint)
    print_start(task, module, datamodule, trainer, str(run_dir))
    started = time.perf_counter()
    _fit(module, datamodule, trainer, ckpt_path)
    timing = {"train_s": time.perf_counter() - started}
    for part in trainer.callbacks:
        timing |= part.record() if isinstance(part, Effort) else {}
    results = _test(cfg, task, module, datamodule, trainer, timing)
    if trainer.is_global_zero:
        _finish(cfg, task, results, module, datamodule)
    return results["metrics"].get(task.metric, float("nan"))


def _place(cfg: DictConfig) -> tuple[Path, str | None]:
    """The run directory and the checkpoint to continue from."""
    here = Path(cfg.run_dir)
    if not cfg.resume:
        if cfg.ckpt_path is not None and not Path(cfg.ckpt_path).exists():
            raise FileNotFoundError(f"ckpt_path={cfg.ckpt_path}: no such file")
        return here, cfg.ckpt_path
    run_dir = resume.unfinished_run(cfg, here)
    say(f"resuming {run_dir}")
    return run_dir, cfg.ckpt_path or str(resume.last_checkpoint(run_dir))


def _describe(cfg: DictConfig, run_dir: Path, data_fingerprint: str) -> None:
    write_text(run_dir / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    environment = {"versions": versions(), "git": git_state(), "kernels": native.describe()}
    resume.compare_kernels(run_dir / "environment.json", environment["kernels"])
    write_json(run_dir / "environment.json", environment)
    resume.mark(run_dir, cfg, data_fingerprint)


def _fit(
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer: pl.Trainer,
    ckpt_path: str | None,
) -> None:
    """Train what has weights; keep what has none as it is."""
    if any(p.requires_grad for p in module.network.parameters()):
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
        except SystemExit:
            if trainer.interrupted:  # Ctrl-C: Lightning leaves the process without a word
                raise KeyboardInterrupt from None
            raise
        return
    trainer.strategy.connect(module)
    best = _best_checkpoint(trainer)
    best.parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(best, weights_only=True)


def _best_checkpoint(trainer: pl.Trainer) -> Path:
    saver = next(part for part in trainer.callbacks if isinstance(part, Checkpoint))
    return saver.place(trainer) / "best.ckpt"


def _test(
    cfg: DictConfig,
    task: Task,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    trainer: pl.Trainer,
    timing: dict[str, float],
) -> dict:
    """Open the test set once, with the weights that validation chose."""
    best = _best_checkpoint(trainer)
    checkpoint = read_pickle(best)
    module.load_state_dict(checkpoint["state_dict"])
    started = time.perf_counter()
    trainer.test(module, datamodule=datamodule, verbose=False)
    timing["test_s"] = time.perf_counter() - started
    described = {
        "file": str(best.relative_to(cfg.run_dir))
        if best.is_relative_to(cfg.run_dir)
        else str(best),
        "step": checkpoint["global_step"],
        "epoch": checkpoint["epoch"],
    }
    run = {
        "name": cfg.name,
        "seed": cfg.seed,
        "config_fingerprint": fingerprint(cfg),
        "device": describe_device(trainer),
        "timing": timing,
    }
    return collect(task, module, datamodule, "test", described, run)


def _finish(
    cfg: DictConfig,
    task: Task,
    results: dict,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
) -> None:
    run_dir = Path(cfg.run_dir)
    task.draw(run_dir, module, datamodule, results)
    write_results(run_dir, results)
    resume.mark(run_dir, cfg, results["data"]["fingerprint"], finished=True)
    task.show(results)
    say(f"results, checkpoints and pictures: {os.path.relpath(run_dir)}")
