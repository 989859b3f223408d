"""What one kind of learning does its own way; everything else of a run is the same for all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from predcnn.data.datamodule import SplitDataModule


@dataclass(frozen=True)
class Reopened:
    """A checkpoint ready to be evaluated: its network and its data, and when it was saved.

    ``settings`` is the configuration of its run.
    """

    module: pl.LightningModule
    datamodule: SplitDataModule
    settings: Mapping
    step: int
    epoch: int


@dataclass(frozen=True)
class Task:
    """The parts of a run that depend on what is learned.

    The LightningModule has ``network`` (what is trained), ``config`` (what rebuilds it) and
    ``metric_names``.

    Args:
        name: as results.json and checkpoints say it.
        metric: the one a run returns, for sweepers.
        build: configuration and data -> LightningModule.
        describe: LightningModule -> rows of the table at the start, label -> text.
        measured: LightningModule after a test -> its part of results.json.
        show: print the results.
        draw: run directory, LightningModule, data, results -> pictures in the directory.
        reopen: configuration of ``evaluate`` -> what is evaluated; None: nothing is.
    """

    name: str
    metric: str
    build: Callable[[DictConfig, SplitDataModule], pl.LightningModule]
    describe: Callable[[pl.LightningModule], dict[str, str]]
    measured: Callable[[pl.LightningModule], dict]
    show: Callable[[dict], None]
    draw: Callable[[Path, pl.LightningModule, SplitDataModule, dict], None]
    reopen: Callable[[DictConfig], Reopened] | None = None
