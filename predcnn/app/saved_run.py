"""A finished run read back from one checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from predcnn.data.datamodule import (
    SETS,
    SequenceDataModule,
    SplitDataModule,
    create_datamodule,
)
from predcnn.metrics import METRICS
from predcnn.predictors.checkpoint import KEY, load_predictor, read_description
from predcnn.weights.files import existing_file, read_pickle

HYDRA_KEYS = ("_target_", "_convert_")


@dataclass(frozen=True)
class SavedRun:
    """A predictor in eval mode, the settings it was trained with, and when it was saved."""

    predictor: nn.Module
    settings: Mapping
    step: int
    epoch: int


def load_run(path: str, trusted: bool = False) -> SavedRun:
    """Predictor and settings of a run's .ckpt, or of an imported .safetensors.

    Args:
        path: the file.
        trusted: import what the file names, see `predcnn.load_predictor`.

    Raises:
        ValueError: the file holds weights but not where they come from: data settings are unknown.
    """
    predictor = load_predictor(path, trusted=trusted)
    about = read_description(path)
    if "run" not in about:
        raise ValueError(
            f"{path} holds weights without the run they come from; evaluate a .ckpt of a run or a "
            "file of scripts/import_weights.py, or load it with predcnn.load_predictor"
        )
    if about["run"].get("channels_last"):  # another layout rounds otherwise
        predictor.to(memory_format=torch.channels_last)
    return SavedRun(predictor, about["run"], int(about["step"]), int(about["epoch"]))


def saved_metrics(run: SavedRun) -> list[str]:
    """The metrics of a run, those of this package only: a file names no module to import."""
    foreign = [name for name in run.settings["metrics"] if name not in METRICS]
    if foreign:
        raise ValueError(f"the checkpoint asks for metrics {foreign}; say yours with metrics=[…]")
    return list(run.settings["metrics"])


def data_of(run: SavedRun, changes: DictConfig | None, trusted: bool = False) -> SequenceDataModule:
    """The data of a run with the non-null ``changes`` of the command line.

    A checkpoint comes from anywhere: it chooses among the data sets of this package and their
    options, and nothing it names is looked up otherwise.

    Raises:
        ValueError: another data set, or other data than the run had without a word that says so.
    """
    said = said_of(changes)
    options = data_options(run.settings, said)
    name = options.pop("name")
    if name not in SETS and "name" not in said and not trusted:
        raise ValueError(
            f"the checkpoint was trained on {name!r}, which is no data set of this package "
            f"({', '.join(SETS.names())}); say data.name=… or trusted=true"
        )
    options.pop("in_shape", None)  # follows from the others
    return unchanged(create_datamodule(name, **options), run.settings, said)


def said_of(changes: DictConfig | None) -> dict:
    """The non-null words of the command line about the data."""
    said = {} if changes is None else OmegaConf.to_container(changes)
    return {key: value for key, value in said.items() if value is not None}


def data_options(settings: Mapping, said: Mapping) -> dict:
    """The data options of a run with what was ``said`` on the command line."""
    return {k: v for k, v in dict(settings["data"]).items() if k not in HYDRA_KEYS} | dict(said)


def unchanged(datamodule: SplitDataModule, settings: Mapping, said: Mapping) -> SplitDataModule:
    """``datamodule`` if it has the data of the run, or others were ``said``; else ValueError."""
    then = settings.get("data_fingerprint")
    if then is not None and not said and datamodule.fingerprint != then:
        raise ValueError(
            f"the data are not those of the run ({datamodule.source}; fingerprint "
            f"{datamodule.fingerprint[:12]}, the run had {then[:12]}): restore the files, or say "
            "what you want with data.root=…, data.source=…"
        )
    return datamodule


def task_name(path: str, tasks: Sequence[str]) -> str:
    """What the network of a checkpoint was trained for, one of ``tasks``; video if it says nothing.

    Raises:
        FileNotFoundError, ValueError: no such file, or damaged.
    """
    file = existing_file(path)
    content = read_pickle(file) if file.suffix != ".safetensors" else None
    about = content.get(KEY) if isinstance(content, Mapping) else None
    name = about.get("task") if isinstance(about, Mapping) else None
    if name is not None and name not in tasks:
        raise ValueError(
            f"{path} is a checkpoint of {name}, whose run measured it; evaluated are those of "
            f"{', '.join(tasks)}"
        )
    return name or next(iter(tasks))


def run_folder(path: str) -> Path:
    """The run directory of a checkpoint; of a file anywhere else, the folder it lies in."""
    parent = Path(path).resolve().parent
    return parent.parent if parent.name == "checkpoints" else parent


def distinct_names(labels: list[str], paths: list[str]) -> list[str]:
    """Labels; where two are equal, with the run directory and the file, where needed a number."""
    if len(set(labels)) == len(labels):
        return labels
    places = [f"{run_folder(path).name}/{Path(path).stem}" for path in paths]
    names = [f"{label} {place}" for label, place in zip(labels, places, strict=True)]
    if len(set(names)) == len(names):
        return names
    return [f"{name} #{i}" for i, name in enumerate(names, 1)]
