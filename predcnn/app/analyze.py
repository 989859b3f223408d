"""Analyses of trained networks: receptive fields, interactions, Grad-CAM, channels, shape bias."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig

from predcnn.analysis import ClassifierSubject, PredictorSubject, Subject
from predcnn.analysis.channels import Channels
from predcnn.analysis.erf import ERF
from predcnn.analysis.gradcam import GradCAM
from predcnn.analysis.interactions import PRESETS, Interactions
from predcnn.analysis.kind import Figures, Inputs, Kind
from predcnn.analysis.shape_bias import ShapeBias
from predcnn.app.console import quiet_libraries, say
from predcnn.app.provenance import command, git_state, versions
from predcnn.app.saved_run import (
    SavedRun,
    data_of,
    distinct_names,
    given_values,
    load_run,
    task_name,
)
from predcnn.backbones.checkpoint import TASK, load_backbone, read_classifier
from predcnn.backbones.create import PREFIX, create_backbone
from predcnn.checks import one_of
from predcnn.data import to_float
from predcnn.files import check_writable, write_json
from predcnn.predictors.checkpoint import weights_file
from predcnn.weights import pretrained

CHECKPOINTS = (".ckpt", ".safetensors")
FORMATS = ("png", "pdf", "svg")


def analyze(cfg: DictConfig) -> None:
    """Measure ``kind`` of every network, draw all in one image, write <kind>.json."""
    quiet_libraries()
    one_of("kind", cfg.kind, KINDS)
    one_of("format", cfg.format, FORMATS)
    kind = KINDS[cfg.kind](cfg)
    subjects, weights, runs = _open_subjects(cfg)
    inputs = _open_inputs(cfg, kind, runs)
    folder = Path(cfg.output)
    check_writable(folder)
    results, models = {}, {}
    for subject in subjects:
        started = time.perf_counter()
        found = results[subject] = kind.measure(subject, inputs)
        about = {"weights": weights[subject.name], "outputs": list(subject.outputs)}
        models[subject.name] = {**about, **kind.numbers(subject, found)}
        say(f"{cfg.kind} of {subject.name}: {time.perf_counter() - started:.1f} s")
    figures = Figures(folder, cfg.kind, cfg.format)
    kind.draw(figures, inputs, results)
    record = {
        "schema": 1,
        "kind": cfg.kind,
        "definition": kind.definition,
        "settings": {"layer": cfg.layer, **kind.settings()},
        "inputs": {"source": inputs.source, "names": list(inputs.names)},
        "models": models,
        "pictures": figures.written,
        "command": command(),
        "versions": versions(),
        "git": git_state(),
    }
    write_json(folder / f"{cfg.kind}.json", record)
    say(f"{cfg.kind}.json and {', '.join(figures.written)} in {folder}")


def _interactions(cfg: DictConfig) -> Interactions:
    chosen = given_values(cfg.interactions)
    preset = chosen.pop("preset")
    one_of("interactions.preset", preset, PRESETS)
    return Interactions(replace(PRESETS[preset], **chosen), cfg.seed, cfg.batch_size)


KINDS: dict[str, Callable[[DictConfig], Kind]] = {
    "erf": lambda cfg: ERF(cfg.pixel and list(cfg.pixel)),
    "interactions": _interactions,
    "gradcam": lambda cfg: GradCAM(),
    "channels": lambda cfg: Channels(),
    "shape_bias": lambda cfg: ShapeBias(cfg.stimuli, cfg.size, cfg.batch_size, cfg.device),
}


def _open_subjects(cfg: DictConfig) -> tuple[list[Subject], dict[str, str], list[SavedRun]]:
    """Open ``cfg.models``; return the networks, the origins of their weights by name, and runs.

    Runs are those of predictors; image networks and predictors together are a ValueError.
    """
    given = [cfg.models] if isinstance(cfg.models, str) else list(cfg.models)
    files = [cfg.weights] if isinstance(cfg.weights, str) else list(cfg.weights or [])
    if not given or len(files) not in (0, len(given)):
        raise ValueError(
            f"weights= is one file (or null) per network of model=: {len(given)} networks, "
            f"{len(files)} files"
        )
    torch.manual_seed(cfg.seed)
    files = files or [None] * len(given)
    opened = [_open(name, file, cfg) for name, file in zip(given, files, strict=True)]
    subjects, origins, runs = map(list, zip(*opened, strict=True))
    if len({run is None for run in runs}) > 1:
        raise ValueError("one figure shows image networks or video predictors, not both")
    names = distinct_names([subject.name for subject in subjects], given)
    for subject, name in zip(subjects, names, strict=True):
        subject.name = name
    return subjects, dict(zip(names, origins, strict=True)), [run for run in runs if run]


def _open(name: str, weights: str | None, cfg: DictConfig) -> tuple[Subject, str, SavedRun | None]:
    """A network, the origin of its weights, and its run if it is a predictor."""
    shipped = name.startswith(pretrained.PREFIX)
    if not shipped and Path(name).suffix not in CHECKPOINTS and not Path(name).is_dir():
        net = create_backbone(name, weights=weights).to(cfg.device)
        return _classifier(net, name.removeprefix(PREFIX), cfg), weights or "untrained", None
    if weights is not None:
        raise ValueError(f"{name} has its own weights; weights= is for names of backbones")
    name = str(weights_file(name))  # a run directory stands for its best checkpoint
    if task_name(name, ("prediction", TASK)) == TASK:
        net = load_backbone(name, device=cfg.device, trusted=cfg.trusted)
        return _classifier(net, str(read_classifier(name)[0]["config"]["name"]), cfg), name, None
    run = load_run(name, cfg.trusted)
    net, label, leads = run.predictor.to(cfg.device), run.settings["name"], cfg.leads
    subject = PredictorSubject(net, str(label), leads=leads and list(leads), layer=cfg.layer)
    return subject, name, run


def _classifier(net: torch.nn.Module, name: str, cfg: DictConfig) -> ClassifierSubject:
    normal = getattr(net, "pretrained_cfg", {})
    known = {key: normal[key] for key in ("mean", "std") if key in normal}
    return ClassifierSubject(net, name, layer=cfg.layer, **known)


def _open_inputs(cfg: DictConfig, kind: Kind, runs: list[SavedRun]) -> Inputs:
    """Test sequences for predictors, images for image networks."""
    count = kind.sampling.images if isinstance(kind, Interactions) else cfg.count
    if not runs:
        if not kind.needs_clips:
            return Inputs(torch.empty(0), None, (), "none")
        return Inputs.of_images(cfg.images, count, cfg.size, cfg.device)
    if not kind.needs_clips:
        raise ValueError(f"kind={cfg.kind} needs a classifier, not a video predictor")
    shapes = {(tuple(run.predictor.in_shape), run.predictor.frames_out) for run in runs}
    if len(shapes) > 1:
        raise ValueError(
            "predictors in one figure need one shape of the past and one horizon, got "
            f"{sorted(shapes)}"
        )
    ((in_shape, frames_out),) = shapes
    datamodule = data_of(runs[0], cfg.data, cfg.trusted)
    dataset = datamodule.split(cfg.split)
    if not 1 <= count <= len(dataset):
        raise ValueError(f"the {cfg.split} split has 1 to {len(dataset)} sequences, not {count}")
    source = f"{datamodule.family.name} {cfg.split} ({dataset.source})"
    frames = to_float(dataset.batch(0, list(range(count)))).to(cfg.device)
    past, future, _ = frames.tensor_split((in_shape[0], in_shape[0] + frames_out), dim=1)
    return Inputs(past, future, [f"sequence {i}" for i in range(count)], source)
