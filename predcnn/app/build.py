"""Build the objects of a run from its configuration."""

from pathlib import Path

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from torch import nn

from predcnn.app.console import say
from predcnn.app.provenance import fingerprint, plain
from predcnn.checks import unknown
from predcnn.cores import make_strict
from predcnn.data import SequenceDataModule
from predcnn.data.datamodule import SplitDataModule
from predcnn.predictors.checkpoint import start_from_predictor
from predcnn.training.callbacks import Checkpoint, ProgressBar
from predcnn.training.callbacks.averaging import AveragedWeights
from predcnn.training.checkpoint_io import SealedCheckpointIO
from predcnn.training.csv_logger import CSVLogger
from predcnn.training.masked_frames import MaskedVideo
from predcnn.training.module import TrainingModule
from predcnn.training.prediction import VideoPrediction
from predcnn.training.unrolled import UnrolledLoss

MATMUL_PRECISIONS = ("highest", "high", "medium")


def check_choices(cfg: DictConfig) -> None:
    """Raise ValueError for ``translator=[a,b]``: Hydra would silently keep the last block."""
    if "translator" not in cfg or not HydraConfig.initialized():
        return
    hydra = HydraConfig.get()
    if "translator" not in hydra.runtime.choices:  # Hydra records single choices only
        given = [text for text in hydra.overrides.task if text.startswith("translator=")]
        last = given[-1] if given else f"translator={list(cfg.translator)}"
        raise ValueError(
            f"{last} would merge several translator files into one; a stack of different blocks "
            f"is translator=stack 'translator.blocks={last.removeprefix('translator=')}'"
        )


def check_strict(cfg: DictConfig) -> None:
    """Refuse ``deterministic=strict`` where other devices or compiled code would compute."""
    make_strict(cfg.deterministic)  # refuses calls from Python, where torch is loaded
    if cfg.deterministic is None:
        return
    if cfg.trainer.accelerator != "cpu" and torch.accelerator.is_available():
        raise ValueError("deterministic=strict is for CPUs: add trainer.accelerator=cpu")
    if cfg.get("compile"):
        raise ValueError("deterministic=strict runs without compiled code: give compile=false")


def build_module(cfg: DictConfig, datamodule: SequenceDataModule) -> TrainingModule:
    """Build the predictor of ``cfg.model.net`` and the module that trains it."""
    predictor, objective = build_predictor(cfg), instantiate(cfg.objective)
    shared = {
        "optimizer": instantiate(cfg.optimizer, _convert_="all"),
        "scheduler": instantiate(cfg.scheduler),
        "run": description(cfg, datamodule),
        "seed": cfg.seed,
    }
    if not isinstance(objective, nn.Module):  # masked_frames: a network around the predictor
        return MaskedVideo(objective(predictor), predictor.config, **shared)
    if isinstance(objective, UnrolledLoss) and not hasattr(predictor, "unroll"):
        raise ValueError(f"{cfg.name} has no steps to unroll: its objective is mse, l1, ssim, …")
    if hasattr(predictor, "fit"):  # mean_frame is fitted without steps
        predictor.fit(datamodule.train_dataloader())
    lpips = cfg.lpips_weights and {"lpips": {"backbone_weights": cfg.lpips_weights}}
    return VideoPrediction(
        predictor,
        objective,
        metrics=list(cfg.metrics),
        metric_options=lpips,
        units=datamodule.units,
        **shared,
    )


def build_data(cfg: DictConfig) -> SplitDataModule:
    """Build the data, and write what their files decide (shape, scale) into ``cfg.data``."""
    datamodule = instantiate(cfg.data)
    datamodule.setup("fit")
    for name, value in datamodule.family.found.items():
        cfg.data[name] = value
    return datamodule


def build_predictor(cfg: DictConfig) -> nn.Module:
    """Build the predictor of ``cfg.model.net``: weights, memory, layout, compilation."""
    predictor = instantiate(cfg.model.net)
    if cfg.compile and hasattr(predictor, "unroll"):
        raise ValueError(
            f"compile=true compiles the forward pass, and {cfg.name} is trained by unrolling"
        )
    if cfg.weights is not None:
        start_from_predictor(predictor, cfg.weights)
        say(f"{cfg.name} starts from {cfg.weights}")
    if cfg.recompute:
        translator = getattr(predictor, "translator", None)
        if not hasattr(translator, "recompute"):
            raise ValueError(f"recompute=true needs a stack of blocks; {cfg.name} has none")
        if cfg.compile:
            raise ValueError("recompute=true and compile=true exclude each other")
        translator.recompute = True
    set_layout(cfg, predictor)
    return predictor


def set_layout(cfg: DictConfig, network: nn.Module) -> None:
    """Apply ``channels_last`` and ``compile`` in place."""
    if cfg.channels_last:
        network.to(memory_format=torch.channels_last)
    if cfg.compile:
        network.compile(dynamic=False)  # one graph per shape: batches have one size


def description(cfg: DictConfig, datamodule: SplitDataModule) -> dict:
    """Return the settings of the run and fingerprints of them and of the data, for checkpoints."""
    settings = plain(cfg)
    if datamodule.family.embedded:  # found from any directory
        settings["data"]["source"] = "embedded"
    else:
        settings["data"]["root"] = str(Path(settings["data"]["root"]).expanduser().resolve())
    return {
        **settings,
        "config_fingerprint": fingerprint(cfg),
        "data_fingerprint": datamodule.fingerprint,
        **({"data_reader": datamodule.family.reader} if datamodule.family.reader else {}),
    }


def build_trainer(cfg: DictConfig, run_dir: Path) -> pl.Trainer:
    """Build the Trainer of ``cfg.trainer`` with the callbacks and loggers of their groups."""
    callbacks = [instantiate(part) for part in cfg.callbacks.values() if part is not None]
    if not cfg.trainer.enable_progress_bar:
        callbacks = [part for part in callbacks if not isinstance(part, ProgressBar)]
    if cfg.ema is not None:
        callbacks.append(AveragedWeights(decay=cfg.ema, use_buffers=True))
    if not any(isinstance(part, Checkpoint) for part in callbacks):
        raise ValueError("a run needs callbacks.checkpoint: the test uses the weights it chose")
    loggers = [_logger(name, part) for name, part in cfg.logger.items() if part is not None]
    if not any(isinstance(part, CSVLogger) for part in loggers):
        loggers.insert(0, CSVLogger(run_dir))
    _check_numbers(cfg)
    _check_strategy(cfg.trainer)
    plugins = instantiate(cfg.trainer.plugins) or []
    plugins = [*(plugins if isinstance(plugins, list | ListConfig) else [plugins])]
    trainer = instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers,
        plugins=[*plugins, SealedCheckpointIO()],
        default_root_dir=cfg.trainer.default_root_dir or str(run_dir),
    )
    _check_launcher(cfg, trainer)
    set_matmul_precision(cfg.get("matmul_precision"), trainer)
    return trainer


def set_matmul_precision(precision: str | None, trainer: pl.Trainer) -> None:
    """Set the precision of float32 matrix products and convolutions, by default TF32 on GPUs."""
    if precision not in (None, *MATMUL_PRECISIONS):
        raise ValueError(unknown("matmul_precision", precision, MATMUL_PRECISIONS))
    on_gpu = trainer.strategy.root_device.type == "cuda"
    if precision is None and on_gpu:
        precision = "high"
    if precision is not None:
        torch.set_float32_matmul_precision(precision)
    if on_gpu:
        torch.backends.cudnn.allow_tf32 = precision != "highest"


def _check_numbers(cfg: DictConfig) -> None:
    """Raise ValueError for settings that are text instead of numbers."""
    for key in ("max_epochs", "min_epochs", "max_steps", "min_steps"):
        value = cfg.trainer[key]
        if value is not None and type(value) is not int:
            raise ValueError(f"trainer.{key} is a whole number, not {value!r}")
        if value == 0 and key.startswith("max"):
            raise ValueError(
                f"trainer.{key}=0 trains nothing: give 1 or more, or test a checkpoint with "
                "predcnn evaluate ckpt_path=…"
            )
    if type(cfg.optimizer.get("lr", 0)) not in (int, float):
        raise ValueError(f"optimizer.lr is a number, not {cfg.optimizer.lr!r}")


def _check_strategy(trainer: DictConfig) -> None:
    """Raise ValueError for FSDP without GPUs; Lightning's message names other settings."""
    name = trainer.strategy if isinstance(trainer.strategy, str) else trainer.strategy._target_
    on_cpu = trainer.accelerator == "cpu" or not torch.cuda.is_available()
    if "fsdp" in name.lower() and on_cpu:
        raise ValueError(
            "trainer=fsdp needs GPUs and would run on CPUs here: give trainer=ddp for several "
            "processes on CPUs"
        )


def _check_launcher(cfg: DictConfig, trainer: pl.Trainer) -> None:
    """Raise ValueError if each process of a run would start the complete sweep again."""
    sweeps = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    starts = getattr(trainer.strategy, "cluster_environment", None)
    if sweeps and trainer.world_size > 1 and not starts.creates_processes_externally:
        raise ValueError(
            f"-m runs on one process a job, and trainer.strategy={cfg.trainer.strategy} would "
            f"start {trainer.world_size}: give each job its processes with "
            "hydra/launcher=submitit_slurm, or start the runs one by one without -m"
        )


def _logger(name: str, part: DictConfig) -> pl.loggers.Logger:
    try:
        return instantiate(part)
    except InstantiationException as error:
        if isinstance(error.__cause__, ImportError):
            raise ImportError(
                f"logger={name} needs a package that is not installed: pip install 'predcnn[log]' "
                f"({error.__cause__})"
            ) from error
        raise


def describe_device(trainer: pl.Trainer) -> str:
    """Return number and kind of devices, the precision, and that of float32 matrix products."""
    device = trainer.strategy.root_device
    count = f"{trainer.world_size} × " if trainer.world_size > 1 else ""
    products = torch.get_float32_matmul_precision()
    narrow = "" if products == "highest" else f", float32 matrix products {products}"
    return f"{count}{device.type}, precision {trainer.precision}{narrow}"
