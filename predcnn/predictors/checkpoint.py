"""Predictors to and from files: weights together with the configuration that rebuilds them."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from predcnn.predictors.create import create_predictor
from predcnn.weights.files import (
    check_keys,
    existing_file,
    read_pickle,
    read_safetensors,
    strip_prefixes,
)

KEY = "predcnn"


def save_predictor(
    predictor: nn.Module, path: str | Path, run: Mapping[str, object] | None = None
) -> Path:
    """Write weights and configuration to a .safetensors file, wholly or not at all.

    Returns the path; makes its folder if need be. ``run`` is plain data about where the weights
    come from, given back by `read_description`.

    Raises:
        ValueError: another suffix. OSError: the place cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise ValueError(f"a predictor is saved to a .safetensors file, not to {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"config": predictor.config, "merged": predictor.merged}
    if run is not None:
        about["run"] = dict(run)
    # clones: the format knows no tensors that share memory
    state = {key: value.detach().cpu().clone() for key, value in predictor.state_dict().items()}
    state = {key: value.contiguous() for key, value in state.items()}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(state, part, metadata={KEY: json.dumps(about)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_predictor(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """A predictor from our .ckpt or .safetensors, in eval mode on ``device``.

    Its ``config`` tells what it is. Nothing in the file is executed, and no module that the file
    names is imported: a block of your own must be imported before, or the file be ``trusted``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, not a checkpoint of ours, or weights of another architecture.
    """
    path = existing_file(path)
    about, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_ckpt(path)
    config = dict(about["config"])
    if not trusted:
        _check_imported(path, config)
    predictor = create_predictor(config.pop("name"), **config)
    if about.get("merged", False):
        predictor.merge()
    own = predictor.state_dict()
    check_keys(
        f"{path} does not fit the {about['config']['name']} it describes",
        state,
        {key: value.shape for key, value in own.items()},
    )
    predictor.load_state_dict(state)
    return predictor.to(device).eval()


def _check_imported(path: Path, config: Mapping[str, object]) -> None:
    """ValueError if the file would have a module imported that nobody imported yet."""
    blocks = config.get("translator", ())
    names = [config["name"], *([blocks] if isinstance(blocks, str) else blocks)]
    for name in names:
        module, dot, _ = str(name).rpartition(".")
        if dot and module not in sys.modules:
            raise ValueError(
                f"{path} is built from {name!r}, a class from outside this package: import "
                f"{module} first, or say trusted=True (on the command line trusted=true) to import "
                "what it names"
            )


def read_description(path: str | Path) -> dict[str, object]:
    """What our .ckpt or .safetensors says beside its weights.

    Returns {"config", "run" if it is known, "step", "epoch"}; step and epoch are 0 for weights that
    were not saved by a training.

    Raises:
        FileNotFoundError, ValueError: as `load_predictor`.
    """
    path = existing_file(path)
    if path.suffix == ".safetensors":
        return {"step": 0, "epoch": 0, **_read_safetensors(path)[0]}
    content = read_pickle(path)
    known = content if isinstance(content, Mapping) else {}
    about = _checked(path, known.get(KEY))
    return {**about, "step": known.get("global_step", 0), "epoch": known.get("epoch", 0)}


def _read_ckpt(path: Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    about = _checked(path, content.get(KEY))
    state = content.get("state_dict")
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} is a damaged checkpoint: it has no state_dict")
    prefix = "predictor."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return about, strip_prefixes(own, ("_orig_mod.",))


def _read_safetensors(path: Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    metadata, state = read_safetensors(path)
    try:
        about = json.loads(metadata.get(KEY, "null"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} cannot be read: its description is damaged") from error
    return _checked(path, about), state


def _checked(path: Path, about: object) -> Mapping[str, object]:
    """What a file says about its predictor, or ValueError if it is not ours."""
    config = about.get("config") if isinstance(about, Mapping) else None
    if config is not None and about.get("task") == "classification":
        raise ValueError(f"{path} holds a classifier of images: predcnn.load_backbone loads it")
    if not isinstance(config, Mapping) or "name" not in config or "in_shape" not in config:
        raise ValueError(
            f"{path} says nothing about a predcnn predictor; weights of OpenSTL and others are "
            "converted by scripts/import_weights.py"
        )
    return about
