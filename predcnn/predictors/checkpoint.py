"""Predictors to and from files: weights together with the configuration that rebuilds them."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from predcnn.files import replacing
from predcnn.predictors.create import create_predictor
from predcnn.predictors.hub import CARD, CONFIG, WEIGHTS, folder_config, model_card, weights_file
from predcnn.weights.files import (
    check_keys,
    no_larger_than,
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
    about = {"config": predictor.config, "merged": predictor.merged}
    if run is not None:
        about["run"] = dict(run)
    # clones: the format knows no tensors that share memory
    state = {key: value.detach().cpu().clone() for key, value in predictor.state_dict().items()}
    state = {key: value.contiguous() for key, value in state.items()}
    with replacing(path) as temporary:
        try:
            save_file(state, temporary, metadata={KEY: json.dumps(about)})
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written: {error}") from error
    return path


def save_pretrained(
    predictor: nn.Module,
    folder: str | Path,
    *,
    results: str | Path | Mapping | None = None,
    name: str | None = None,
) -> Path:
    """Write weights, config.json and a model card into a folder, as the Hub keeps models.

    Args:
        predictor: any of ours.
        folder: made if need be; `load_predictor` reads it.
        results: a run's results.json (path or content) for the card.
        name: what the card loads it by, such as "user/model"; None: the folder.

    Raises:
        OSError: the place cannot be written. ValueError: ``results`` is no results.json.
    """
    folder = Path(folder).expanduser()
    if isinstance(results, str | Path):
        results = json.loads(Path(results).read_text(encoding="utf-8"))
    try:
        card = model_card(predictor.config, name or str(folder), results)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"results are no content of a results.json: {error!r}") from error
    save_predictor(predictor, folder / WEIGHTS)
    for file, text in ((CONFIG, json.dumps(predictor.config, indent=2)), (CARD, card)):
        with replacing(folder / file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder


def load_predictor(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """A predictor from our .ckpt or .safetensors, in eval mode on ``device``.

    ``path`` may also be a folder of `save_pretrained`, or ``user/model`` on the Hugging Face Hub.
    Its ``config`` tells what it is. Nothing in the file is executed, and no module that the file
    names is imported: a block of your own must be imported before, or the file be ``trusted``.

    Raises:
        FileNotFoundError: no such file, or no such model on the Hub.
        ConnectionError: the Hub cannot be reached.
        ValueError: unreadable, not a checkpoint of ours, or weights of another architecture.
    """
    path = weights_file(path)
    about, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_ckpt(path)
    config = dict(about["config"])
    if not trusted:
        _check_imported(path, config)
    with no_larger_than(state, config, path):
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


def start_from_predictor(predictor: nn.Module, path: str | Path) -> None:
    """Copy the weights of a predictor's .ckpt or .safetensors into another one of its kind.

    Raises:
        FileNotFoundError, ValueError: as `load_predictor`; a predictor of other parts or sizes
        (`KeyMismatchError` lists how it differs), and then nothing is changed.
    """
    found = load_predictor(path)
    state = found.state_dict()
    own = {key: value.shape for key, value in predictor.state_dict().items()}
    what = f"{path}, a {found.config['name']}, does not fit {type(predictor).__name__}"
    check_keys(what, state, own)
    predictor.load_state_dict(state)


def _check_imported(path: Path, config: Mapping[str, object]) -> None:
    """ValueError if the file would have a module imported that nobody imported yet."""
    if "translator_weights" in config:
        raise ValueError(
            f"{path} names another file to load: a saved predictor has its own weights"
        )
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
    path = weights_file(path)
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
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{path} is a damaged checkpoint: it has no state_dict")
    prefix = "predictor."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return about, strip_prefixes(own, ("_orig_mod.",))


def _read_safetensors(path: Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    metadata, state = read_safetensors(path)
    try:
        about = json.loads(metadata.get(KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: its description is damaged") from error
    config = folder_config(path)
    if config is None:
        return _checked(path, about), state
    about = _checked(path, about or {"config": config})
    if json.loads(json.dumps(about["config"])) != config:
        raise ValueError(f"{path.with_name(CONFIG)} describes another predictor than {path.name}")
    return about, state


def _checked(path: Path, about: object) -> Mapping[str, object]:
    """What a file says about its predictor, or ValueError if it is not ours."""
    config = about.get("config") if isinstance(about, Mapping) else None
    if config is not None and about.get("task") == "classification":
        raise ValueError(f"{path} holds a classifier of images: predcnn.load_backbone loads it")
    if config is not None and about.get("task") == "masked_frames":
        raise ValueError(
            f"{path} is a checkpoint of masked frames: the predictor of that run is in its "
            "predictor.safetensors"
        )
    if not isinstance(config, Mapping) or "name" not in config or "in_shape" not in config:
        raise ValueError(
            f"{path} says nothing about a predcnn predictor; weights of OpenSTL and others are "
            "converted by scripts/import_weights.py"
        )
    return about
