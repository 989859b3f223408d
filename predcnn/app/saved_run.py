"""A finished run read back from one checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import nn

from predcnn.data.datamodule import SETS
from predcnn.predictors.checkpoint import load_predictor, read_description

TRUSTED = "predcnn.data."


@dataclass(frozen=True)
class SavedRun:
    """A predictor in eval mode, the configuration it was trained with, and when it was saved."""

    predictor: nn.Module
    config: DictConfig
    step: int
    epoch: int


def load_run(path: str) -> SavedRun:
    """Predictor and configuration of a run's .ckpt, or of an imported .safetensors.

    Raises:
        ValueError: the file holds weights but not where they come from: data settings are unknown.
    """
    predictor = load_predictor(path)
    about = read_description(path)
    if "run" not in about:
        raise ValueError(
            f"{path} holds weights without the run they come from; evaluate a .ckpt of a run or a "
            "file of scripts/import_weights.py, or load it with predcnn.load_predictor"
        )
    config = OmegaConf.create(about["run"])
    return SavedRun(predictor, config, int(about["step"]), int(about["epoch"]))


def merged_data(run: DictConfig, changes: DictConfig | None) -> DictConfig:
    """The data settings of a run with the non-null ``changes`` of the command line.

    A checkpoint comes from anywhere: it may name our own data sets and nothing else to build.
    """
    data = OmegaConf.create(OmegaConf.to_container(run.data))
    for target in _targets(data):
        if not target.startswith(TRUSTED):
            raise ValueError(
                f"the checkpoint asks to build {target!r}; only data sets of this package "
                f"({TRUSTED}*) are built from a checkpoint's own settings"
            )
    if data.get("name") not in SETS:
        raise ValueError(
            f"the checkpoint was trained on {data.get('name')!r}, which is no data set of this "
            f"package ({', '.join(SETS.names())}); say another with data.name=…"
        )
    for key, value in (changes or {}).items():
        if value is not None:
            data[key] = value
    return data


def _targets(node: object) -> list[str]:
    if isinstance(node, DictConfig):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [t for value in node.values() for t in _targets(value)]
    if OmegaConf.is_list(node):
        return [t for value in node for t in _targets(value)]
    return []


def run_folder(path: str) -> Path:
    """The run directory of a checkpoint; of a file anywhere else, the folder it lies in."""
    parent = Path(path).resolve().parent
    return parent.parent if parent.name == "checkpoints" else parent
