"""What is analysed: networks from names and checkpoints, and the films they are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from predcnn.analysis import ClassifierSubject, PredictorSubject, Subject
from predcnn.app.saved_run import SavedRun, data_of, distinct_names, load_run, task_name
from predcnn.backbones.checkpoint import TASK, load_backbone, read_classifier
from predcnn.backbones.create import create_backbone
from predcnn.backbones.timm_models import PREFIX
from predcnn.data import to_float
from predcnn.data.images.pictures import find_pictures, photographs, read_pictures

CHECKPOINTS = (".ckpt", ".safetensors")
TASKS = ("prediction", TASK)


@dataclass(frozen=True)
class Model:
    """A network that was asked for: its label, where its weights come from, its run if it has one.

    A network without a run is an image network.
    """

    label: str
    net: nn.Module
    weights: str
    run: SavedRun | None = None


@dataclass(frozen=True)
class Inputs:
    """What all networks are shown, and the networks.

    Args:
        subjects: image networks, or predictors; never both.
        weights: where those of each subject come from, by its name.
        films: (N, T, C, H, W) in [0, 1]; pictures have T = 1.
        future: true frames (N, frames_out, C, H, W) of predictors.
        names: of the films.
        source: what they are, in words.
    """

    subjects: Sequence[Subject]
    weights: Mapping[str, str]
    films: Tensor
    future: Tensor | None
    names: Sequence[str]
    source: str


def open_inputs(cfg: DictConfig, count: int | None) -> Inputs:
    """Networks of ``cfg.models`` and ``count`` films for them; None: no films.

    Raises:
        FileNotFoundError, KeyError, ValueError: a network or a film that is not there, networks
            that cannot stand side by side.
    """
    words = [cfg.models] if isinstance(cfg.models, str) else list(cfg.models)
    weights = [cfg.weights] if isinstance(cfg.weights, str) else list(cfg.weights or [])
    if not words or len(weights) not in (0, len(words)):
        raise ValueError(
            f"weights= is one file per network or null, in the order of model=: {len(words)} "
            f"networks, {len(weights)} files"
        )
    torch.manual_seed(cfg.seed)
    models = [
        _open(word, file, cfg)
        for word, file in zip(words, weights or [None] * len(words), strict=True)
    ]
    runs = [model.run for model in models if model.run is not None]
    if len(runs) not in (0, len(models)):
        raise ValueError("one figure shows image networks or video predictors, not both")
    names = distinct_names([model.label for model in models], words)
    make = _predictor if runs else _classifier
    subjects = [make(model.net, name, cfg) for name, model in zip(names, models, strict=True)]
    known = {name: model.weights for name, model in zip(names, models, strict=True)}
    load: Callable = _sequences if runs else _pictures
    return Inputs(subjects, known, *load(cfg, count, runs))


def _open(word: str, weights: str | None, cfg: DictConfig) -> Model:
    if Path(word).suffix not in CHECKPOINTS:
        net = create_backbone(word, weights=weights).to(cfg.device)
        return Model(word.removeprefix(PREFIX), net, weights or "untrained")
    if weights is not None:
        raise ValueError(f"{word} has its own weights; weights= is for names of backbones")
    if task_name(word, TASKS) == TASK:
        net = load_backbone(word, device=cfg.device, trusted=cfg.trusted)
        return Model(str(read_classifier(word)[0]["config"]["name"]), net, word)
    run = load_run(word, cfg.trusted)
    run.predictor.to(cfg.device)
    return Model(str(run.settings["name"]), run.predictor, word, run)


def _classifier(net: nn.Module, name: str, cfg: DictConfig) -> ClassifierSubject:
    normal = getattr(net, "pretrained_cfg", {})
    known = {key: normal[key] for key in ("mean", "std") if key in normal}
    return ClassifierSubject(net, name, layer=cfg.layer, **known)


def _predictor(net: nn.Module, name: str, cfg: DictConfig) -> PredictorSubject:
    return PredictorSubject(net, name, leads=cfg.leads and list(cfg.leads), layer=cfg.layer)


def _pictures(
    cfg: DictConfig, count: int | None, runs: Sequence[SavedRun]
) -> tuple[Tensor, None, list[str], str]:
    if count is None:
        return torch.empty(0), None, [], "none"
    if cfg.images is None:
        pictures, names = photographs(count, cfg.size)
        source = "photographs of scikit-image"
    else:
        paths = find_pictures(cfg.images)[:count]
        pictures, names = read_pictures(paths, cfg.size), [path.name for path in paths]
        source = str(cfg.images)
    return pictures[:, None].to(cfg.device), None, names, f"{source}, {cfg.size}x{cfg.size}"


def _sequences(
    cfg: DictConfig, count: int | None, runs: Sequence[SavedRun]
) -> tuple[Tensor, Tensor, list[str], str]:
    if count is None:
        raise ValueError(f"kind={cfg.kind} is about classes, which a video predictor does not have")
    shapes = {(tuple(run.predictor.in_shape), run.predictor.frames_out) for run in runs}
    if len(shapes) > 1:
        raise ValueError(
            f"predictors side by side need one shape of the past and one horizon, got "
            f"{sorted(shapes)}"
        )
    ((in_shape, frames_out),) = shapes
    datamodule = data_of(runs[0], cfg.data, cfg.trusted)
    dataset = datamodule.split(cfg.split)
    if not 1 <= count <= len(dataset):
        raise ValueError(f"the {cfg.split} split has 1 to {len(dataset)} sequences, not {count}")
    frames = to_float(dataset.batch(0, list(range(count)))).to(cfg.device)
    past, future = frames[:, : in_shape[0]], frames[:, in_shape[0] : in_shape[0] + frames_out]
    source = f"{datamodule.family.name} {cfg.split} ({dataset.source})"
    return past, future, [f"sequence {i}" for i in range(count)], source
