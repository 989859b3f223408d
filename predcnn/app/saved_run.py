"""Read a finished run back from one of its checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from predcnn.data import ImageDataModule, create_image_datamodule
from predcnn.data.datamodule import SETS, SequenceDataModule, SplitDataModule, create_datamodule
from predcnn.data.options import ROOT
from predcnn.predictors.checkpoint import KEY, load_described, weights_file
from predcnn.weights.files import read_pickle
from predcnn.weights.pretrained import FOLDER


@dataclass(frozen=True)
class SavedRun:
    """A predictor in eval mode, the settings of its run, and the step and epoch of the weights."""

    predictor: nn.Module
    settings: Mapping
    step: int
    epoch: int


def load_run(path: str, trusted: bool = False) -> SavedRun:
    """Load predictor and settings from a run directory, its .ckpt, or an imported .safetensors."""
    predictor, about = load_described(path, trusted=trusted)
    if "run" not in about:
        raise ValueError(
            f"{path} has weights but no settings of a run: give a .ckpt of a run or a file of "
            "predcnn import_weights"
        )
    if about["run"].get("channels_last"):  # another layout rounds differently
        predictor.to(memory_format=torch.channels_last)
    return SavedRun(predictor, about["run"], int(about["step"]), int(about["epoch"]))


def data_of(run: SavedRun, changes: DictConfig | None, trusted: bool = False) -> SequenceDataModule:
    """Return the data of a run with the non-null ``changes`` of the command line.

    A checkpoint may come from anywhere, so it chooses among the data sets of this package and their
    options only. Data that differ from the run's without such a change are a ValueError.
    """
    given = given_values(changes)
    options = _options(run.settings, given)
    name = options.pop("name")
    if name not in SETS and "name" not in given and not trusted:
        raise ValueError(
            f"the checkpoint was trained on {name!r}, which is not a data set of this package "
            f"({', '.join(SETS.names())}); give data.name=… or trusted=true"
        )
    options.pop("in_shape", None)  # follows from the others
    return _same_data(create_datamodule(name, **options), run.settings, given)


def images_of(settings: Mapping, changes: DictConfig | None) -> ImageDataModule:
    """Return the images of a classifier's run; otherwise as `data_of`."""
    given = given_values(changes)
    datamodule = create_image_datamodule(**_options(settings, given))
    if datamodule.classes != settings["classes"]:
        raise ValueError(
            f"{datamodule.source} has {len(datamodule.classes)} classes, the checkpoint "
            f"{len(settings['classes'])}: the same class names are needed"
        )
    return _same_data(datamodule, settings, given)


def given_values(changes: DictConfig | None) -> dict:
    """Return the data options given on the command line: those that are not null."""
    given = {} if changes is None else OmegaConf.to_container(changes)
    return {key: value for key, value in given.items() if value is not None}


def _options(settings: Mapping, given: Mapping) -> dict:
    saved = {k: v for k, v in dict(settings["data"]).items() if k not in ("_target_", "_convert_")}
    root = Path(str(saved.get("root", ROOT)))
    if saved.get("source") == "auto" and root.name == ROOT and not root.is_dir():
        saved["root"] = ROOT  # older runs recorded the default as an absolute path, used or not
    return saved | dict(given)


def _same_data(datamodule: SplitDataModule, settings: Mapping, given: Mapping) -> SplitDataModule:
    then = settings.get("data_fingerprint")
    if then is not None and not given and datamodule.fingerprint != then:
        raise ValueError(
            f"the data are not those of the run ({datamodule.source}; fingerprint "
            f"{datamodule.fingerprint[:12]}, the run had {then[:12]}): restore the files, or "
            f"choose others with data.root=…, data.source=…{reader_change(datamodule, settings)}"
        )
    return datamodule


def reader_change(datamodule: SplitDataModule, settings: Mapping) -> str:
    """Return a hint for errors about changed data, if the run read its clips with OpenCV."""
    if datamodule.family.reader is None or "data_reader" in settings:
        return ""
    return (
        "; the run read its clips with OpenCV, this version reads them with "
        f"{datamodule.family.reader.split()[0]}: continue it with the version that began it, or "
        "start a new run"
    )


def task_name(path: str, tasks: Sequence[str]) -> str:
    """Return the task of a checkpoint, one of ``tasks``; the first one if it records none."""
    file = weights_file(path)
    content = read_pickle(file) if file.suffix != ".safetensors" else None
    about = content.get(KEY) if isinstance(content, Mapping) else None
    name = about.get("task") if isinstance(about, Mapping) else None
    if name is not None and name not in tasks:
        raise ValueError(
            f"{path} is a checkpoint of {name}, measured by its own run; accepted are those of "
            f"{', '.join(tasks)}"
        )
    return name or next(iter(tasks))


def run_folder(path: str) -> Path:
    """Return the folder for the results of a checkpoint: its run directory or its own folder.

    For weights that ship with the package or come from the Hub it is the working directory.
    """
    given, path = Path(path).expanduser(), Path(path).expanduser().resolve()
    if not given.exists() or path.is_relative_to(FOLDER):
        return Path.cwd()
    if path.is_dir():
        return path
    parent = path.parent
    return parent.parent if parent.name == "checkpoints" else parent


def distinct_names(labels: list[str], paths: list[str]) -> list[str]:
    """Make labels unique by appending the run directory, the file or a number."""
    if len(set(labels)) == len(labels):
        return labels
    places = [f"{run_folder(path).name}/{Path(path).stem}" for path in paths]
    names = [f"{label} {place}" for label, place in zip(labels, places, strict=True)]
    if len(set(names)) == len(names):
        return names
    return [f"{name} #{i}" for i, name in enumerate(names, 1)]
