"""Train, choose a checkpoint by validation, test once, write results."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from predcnn.app.allocator import keep_memory
from predcnn.app.build import build_data, build_module, build_trainer, check_choices, check_strict
from predcnn.app.console import quiet_libraries, say
from predcnn.app.minutes import fit_into_minutes
from predcnn.app.provenance import fingerprint
from predcnn.app.results import collect, print_results, print_start
from predcnn.app.run_directory import RunRecord, check_state, check_unfinished, claim, first_command
from predcnn.files import write_json
from predcnn.training.callbacks import Checkpoint, Effort
from predcnn.training.csv_logger import CSVLogger
from predcnn.training.interruption import loud_interrupts
from predcnn.training.module import TrainingModule
from predcnn.training.run_pictures import warn_of_failure
from predcnn.weights.files import read_pickle


def train(cfg: DictConfig) -> float:
    """Train a predictor as ``configs/train.yaml`` says; return the test MSE (for sweepers).

    With ``objective=masked_frames`` it is pre-trained, and the test loss returned.
    """
    check_choices(cfg)
    return run(cfg, build_module)


def run(cfg: DictConfig, build: Callable) -> float:
    """Train the module that ``build(cfg, datamodule)`` returns, test it once; return its metric.

    The run directory receives config.yaml, run.json, environment.json, metrics.csv, timing.csv,
    checkpoints/best.ckpt, last.ckpt and previous.ckpt, the module's images, and results.json.
    """
    quiet_libraries()
    check_strict(cfg)
    started, command_fingerprint = time.perf_counter(), fingerprint(cfg)
    with claim(cfg) as (run_dir, ckpt_path):
        cfg.run_dir = str(run_dir)
        if cfg.keep_memory:
            keep_memory()
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
        datamodule = build_data(cfg)
        fit_into_minutes(cfg, build, datamodule, ckpt_path, started)
        module = build(cfg, datamodule)
        trainer = build_trainer(cfg, run_dir)
        step = 0 if ckpt_path is None else check_state(ckpt_path, module, datamodule)
        if ckpt_path is not None and not ckpt_path.resolve().is_relative_to(run_dir.resolve()):
            check_unfinished(ckpt_path, trainer)
        record = RunRecord(cfg, run_dir, datamodule.fingerprint, command_fingerprint)
        trainer.callbacks.append(record)
        print_start(module, datamodule, trainer, run_dir)

        with loud_interrupts(trainer):
            timing = fit(trainer, module, datamodule, ckpt_path, step)
            results = test(run_dir, trainer, module, datamodule, timing)
        if trainer.is_global_zero:
            write_json(run_dir / "results.json", results)
            module.save_weights(run_dir, results)
            record.write_identity(finished=True)
            print_results(results)
            with warn_of_failure("images of the run"):
                module.draw(run_dir, datamodule, results)
            say(f"results, checkpoints and images: {os.path.relpath(run_dir)}")
    return results["metrics"].get(module.metric, float("nan"))


def fit(
    trainer: pl.Trainer,
    module: TrainingModule,
    datamodule: pl.LightningDataModule,
    ckpt_path: Path | None,
    step: int,
) -> dict[str, float]:
    """Train from ``ckpt_path`` at ``step``, or from the start; return how long it took.

    A network without parameters is only saved.
    """
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.resume_at(step)
    started = time.perf_counter()
    if any(p.requires_grad for p in module.network.parameters()):
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
        say(_callback(trainer, Checkpoint).choice)
    else:
        _callback(trainer, RunRecord).write()
        trainer.strategy.connect(module)
        best = _callback(trainer, Checkpoint).best_file(trainer)
        best.parent.mkdir(parents=True, exist_ok=True)
        trainer.save_checkpoint(best, weights_only=True)
    timing = {"train_s": time.perf_counter() - started}
    efforts = [part for part in trainer.callbacks if isinstance(part, Effort)]
    return timing | (efforts[0].state_dict() if efforts else {})


def test(
    run_dir: Path,
    trainer: pl.Trainer,
    module: TrainingModule,
    datamodule: pl.LightningDataModule,
    timing: dict[str, float],
) -> dict:
    """Test the best weights, once; return the content of results.json."""
    best = _callback(trainer, Checkpoint).best_file(trainer)
    content = read_pickle(best)
    module.load_state_dict(content["state_dict"])
    module.prepare_test(datamodule)
    started = time.perf_counter()
    trainer.test(module, datamodule=datamodule, verbose=False)
    checkpoint = {
        "file": str(best.relative_to(run_dir) if best.is_relative_to(run_dir) else best),
        "step": content["global_step"],
        "epoch": content["epoch"],
    }
    timing = timing | {"test_s": time.perf_counter() - started}
    return collect(trainer, module, datamodule, "test", checkpoint, first_command(run_dir), timing)


def _callback(trainer: pl.Trainer, kind: type) -> pl.Callback:
    return next(part for part in trainer.callbacks if isinstance(part, kind))
