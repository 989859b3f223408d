"""Predictors to and from files: weights and the configuration that rebuilds them."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from predcnn.files import replacing
from predcnn.predictors.create import create_predictor
from predcnn.weights.files import (
    check_keys,
    existing_file,
    read_pickle,
    read_safetensors,
    strip_prefixes,
)
from predcnn.weights.pretrained import PREFIX, pretrained_file

KEY = "predcnn"
BEST = Path("checkpoints", "best.ckpt")
WEIGHTS, CONFIG = "model.safetensors", "config.json"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def weights_file(place: str | Path) -> Path:
    """Return the weight file that a path or a name stands for.

    Args:
        place: a file; a run directory, which stands for its ``checkpoints/best.ckpt``; a folder of
            `save_pretrained`; or, if there is no such path, ``pretrained/NAME`` of
            `predcnn.list_pretrained`, or ``user/model`` on the Hugging Face Hub, with an optional
            ``@revision``.

    Raises:
        FileNotFoundError: no such file, folder or model. ConnectionError: the Hub cannot be
        reached.
    """
    path = Path(place).expanduser()
    if (path / WEIGHTS).is_file():
        return path / WEIGHTS
    if (path / BEST.parent).is_dir():
        return existing_file(path / BEST)
    if isinstance(place, str) and place.startswith(PREFIX) and not path.exists():
        return pretrained_file(place)
    named = isinstance(place, str) and HUB_NAME.fullmatch(place) and not path.parent.is_dir()
    if named and path.suffix not in (".ckpt", ".safetensors", ".pth", ".pt"):
        return _downloaded(place)
    return existing_file(path)


def _downloaded(name: str) -> Path:
    """Fetch a model from the Hub, or from its cache; return the weight file."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    model, _, revision = name.partition("@")
    wanted = {"revision": revision or None, "allow_patterns": [WEIGHTS, CONFIG]}
    try:
        folder = Path(huggingface_hub.snapshot_download(model, **wanted))
    except HFValidationError as error:
        raise FileNotFoundError(f"no file {name}, and no name of a model: {error}") from error
    except OSError as error:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            raise FileNotFoundError(f"no file {name} here, and no such model on the Hub") from error
        raise ConnectionError(
            f"no file {name} here, and the Hugging Face Hub cannot be reached: {error}"
        ) from error
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{name} on the Hub holds no {WEIGHTS}")
    return folder / WEIGHTS


def save_predictor(
    predictor: nn.Module,
    path: str | Path,
    run: Mapping[str, object] | None = None,
    *,
    half: bool = False,
) -> Path:
    """Write weights and configuration to a .safetensors file, completely or not at all.

    Returns the path; creates its folder if needed. ``run`` is plain data about the origin of the
    weights, returned by `read_description`. ``half`` stores kernels and matrices as
    float16; loading gives float32 again.
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
    if half:
        # vectors stay: running variances exceed float16's range
        state = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
    content = save(state, metadata={KEY: json.dumps(about)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def load_predictor(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """Load a predictor from our .ckpt or .safetensors, in eval mode on ``device``.

    ``path`` may also be a run directory, a folder of `save_pretrained`, ``pretrained/NAME`` of
    `predcnn.list_pretrained` or ``user/model`` on the Hugging Face Hub, see `weights_file`.
    Nothing in the file is executed, and no module that it names is imported: import a block of
    your own first, or pass ``trusted=True``.

    Raises:
        FileNotFoundError: no such file, or no such model on the Hub. ConnectionError: the Hub
        cannot be reached. ValueError: unreadable, not a checkpoint of ours, or weights of another
        architecture.
    """
    return load_described(path, device=device, trusted=trusted)[0]


def load_described(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> tuple[nn.Module, dict[str, object]]:
    """Load a predictor as `load_predictor` does, and return what `read_description` does with it.

    The file is read once.
    """
    path = weights_file(path)
    about, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_ckpt(path)
    config = dict(about["config"])
    if not trusted:
        _check_imported(path, config)
    predictor = create_predictor(config.pop("name"), **config)
    if about.get("merged", False):
        predictor.merge()
    _fill(predictor, f"{path} does not fit the {about['config']['name']} it describes", state)
    return predictor.to(device).eval(), {"step": 0, "epoch": 0, **about}


def start_from_predictor(predictor: nn.Module, path: str | Path) -> None:
    """Copy the weights of a predictor's .ckpt or .safetensors into another one of its kind.

    Weights of other parts or sizes change nothing (`KeyMismatchError` lists the differences).
    """
    found = load_predictor(path)
    what = f"{path}, a {found.config['name']}, does not fit {type(predictor).__name__}"
    _fill(predictor, what, found.state_dict())


def _fill(predictor: nn.Module, what: str, state: Mapping[str, Tensor]) -> None:
    """Load ``state`` if its keys and shapes are those of the predictor."""
    expected = {key: value.shape for key, value in predictor.state_dict().items()}
    check_keys(what, state, expected)
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
    """Return what our .ckpt or .safetensors records next to its weights.

    {"config", "run" if it is known, "step", "epoch"}; step and epoch are 0 for weights that no
    training saved.
    """
    path = weights_file(path)
    if path.suffix == ".safetensors":
        return {"step": 0, "epoch": 0, **_read_safetensors(path)[0]}
    content = read_pickle(path)
    return _description(path, content if isinstance(content, Mapping) else {})


def _description(path: Path, content: Mapping) -> dict[str, object]:
    about = _checked(path, content.get(KEY))
    return {**about, "step": content.get("global_step", 0), "epoch": content.get("epoch", 0)}


def _read_ckpt(path: Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    about = _description(path, content)
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
    place = path.with_name(CONFIG)
    if path.name != WEIGHTS or not place.is_file():
        return _checked(path, about), state
    config = _folder_config(place)
    about = _checked(path, about or {"config": config})
    if json.loads(json.dumps(about["config"])) != config:
        raise ValueError(f"{place} describes another predictor than {path.name}")
    return about, state


def _folder_config(place: Path) -> Mapping[str, object]:
    """Read the config.json of a saved folder."""
    try:
        config = json.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is no JSON: {error}") from error
    if not isinstance(config, Mapping) or "name" not in config or "in_shape" not in config:
        raise ValueError(
            f"{place} is no configuration of a predcnn predictor: no name and in_shape"
        )
    return config


def _checked(path: Path, about: object) -> Mapping[str, object]:
    """Return ``about`` if it describes a predictor of ours; raise ValueError otherwise."""
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
