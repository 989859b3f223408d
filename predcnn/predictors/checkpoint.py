"""Predictors in files: weights and the configuration that rebuilds them."""

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
from predcnn.weights.files import existing_file, fill, read_pickle, read_safetensors, strip_prefixes
from predcnn.weights.pretrained import PREFIX, pretrained_file

KEY = "predcnn"
BEST = Path("checkpoints", "best.ckpt")
WEIGHTS, CONFIG = "model.safetensors", "config.json"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
OTHER_TASKS = {
    "classification": "a classifier of images: predcnn.load_backbone loads it",
    "masked_frames": "masked frames: the predictor of that run is in its predictor.safetensors",
}


def weights_file(place: str | Path) -> Path:
    """Return the weight file that a path or a name stands for.

    Args:
        place: a file, a run directory (its ``checkpoints/best.ckpt``) or a folder of
            `save_pretrained`; if there is no such path, ``pretrained/NAME`` of
            `predcnn.list_pretrained`, or ``user/model`` on the Hugging Face Hub, with an optional
            ``@revision``.

    Raises:
        FileNotFoundError: no such file, folder or model.
        ConnectionError: the Hub cannot be reached.
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
    """Return the weight file of a model on the Hub, downloaded or from the cache."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    model, _, revision = name.partition("@")
    wanted = {"revision": revision or None, "allow_patterns": [WEIGHTS, CONFIG]}
    try:
        folder = huggingface_hub.snapshot_download(model, **wanted)
    except LocalEntryNotFoundError as error:
        raise ConnectionError(f"no file {name}, and the Hub cannot be reached: {error}") from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise FileNotFoundError(f"no file {name}, and no model on the Hub: {error}") from error
    return existing_file(Path(folder) / WEIGHTS)


def save_predictor(
    predictor: nn.Module,
    path: str | Path,
    run: Mapping[str, object] | None = None,
    *,
    half: bool = False,
) -> Path:
    """Write weights and configuration to a .safetensors file atomically; return its path.

    Args:
        path: its folder is created if needed.
        run: plain data about the origin of the weights, returned by `read_description`.
        half: store kernels and matrices as float16; loading gives float32 again.
    """
    path = Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise ValueError(f"a predictor is saved to a .safetensors file, not to {path.name!r}")
    about = {"config": predictor.config, "merged": predictor.merged}
    if run is not None:
        about["run"] = dict(run)
    # clones: safetensors refuses tensors that share memory
    state = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in predictor.state_dict().items()
    }
    if half:
        # vectors stay float32: running variances exceed float16's range
        state = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
    content = save(state, metadata={KEY: json.dumps(about)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def load_predictor(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """Load a predictor from our .ckpt or .safetensors, in eval mode on ``device``.

    No code from the file is executed, and no module that it names is imported.

    Args:
        path: a file, folder or name, see `weights_file`.
        trusted: import the modules that the file names; otherwise import your own blocks first.

    Raises:
        FileNotFoundError: no such file, or no such model on the Hub.
        ConnectionError: the Hub cannot be reached.
        ValueError: unreadable, not a checkpoint of ours, or weights of another architecture.
    """
    return load_described(path, device=device, trusted=trusted)[0]


def load_described(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> tuple[nn.Module, dict[str, object]]:
    """Read a file once for the results of both `load_predictor` and `read_description`."""
    path = weights_file(path)
    about, state = _read(path)
    config = dict(about["config"])
    if not trusted:
        _check_imported(path, config)
    predictor = create_predictor(config.pop("name"), **config)
    if about.get("merged", False):
        predictor.merge()
    fill(predictor, f"{path} does not fit the {about['config']['name']} it describes", state)
    return predictor.to(device).eval(), about


def start_from_predictor(predictor: nn.Module, path: str | Path) -> None:
    """Copy the weights of a saved predictor of the same parts and sizes into ``predictor``.

    Nothing changes if they do not fit: `KeyMismatchError` lists the differences.
    """
    found = load_predictor(path)
    what = f"{path}, a {found.config['name']}, does not fit {type(predictor).__name__}"
    fill(predictor, what, found.state_dict())


def read_description(path: str | Path) -> dict[str, object]:
    """Return {"config", "run" if known, "step", "epoch"} of our .ckpt or .safetensors.

    Step and epoch are 0 for weights that no training saved.
    """
    return _read(weights_file(path))[0]


def _check_imported(path: Path, config: Mapping[str, object]) -> None:
    """Raise ValueError if building from ``config`` would import a module or open a file."""
    if "translator_weights" in config:
        raise ValueError(f"{path} names another file to load: its translator_weights")
    blocks = config.get("translator", ())
    names = [config["name"], *([blocks] if isinstance(blocks, str) else blocks)]
    for name in names:
        module, dot, _ = str(name).rpartition(".")
        if dot and module not in sys.modules:
            raise ValueError(
                f"{path} is built from {name!r}: import {module} first, or say trusted=True "
                "(trusted=true on the command line)"
            )


def _read(path: Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Return the description and the state dict of a weight file of ours."""
    about, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_ckpt(path)
    return {"step": 0, "epoch": 0, **about}, state


def _read_ckpt(path: Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    content = read_pickle(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} is not a checkpoint: it holds a {type(content).__name__}")
    about = _checked(path, content.get(KEY))
    progress = {"step": content.get("global_step", 0), "epoch": content.get("epoch", 0)}
    state = content.get("state_dict")
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise ValueError(f"{path} is a damaged checkpoint: it has no state_dict")
    prefix = "predictor."
    own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return {**about, **progress}, strip_prefixes(own, ("_orig_mod.",))


def _read_safetensors(path: Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    metadata, state = read_safetensors(path)
    about = _parsed(f"{path}: its description", metadata.get(KEY, "null"))
    place = path.with_name(CONFIG)
    if path.name != WEIGHTS or not place.is_file():
        return _checked(path, about), state
    config = _parsed(place, place.read_text(encoding="utf-8"))
    about = _checked(path, about or {"config": config})
    if json.loads(json.dumps(about["config"])) != config:
        raise ValueError(f"{place} describes another predictor than {path.name}")
    return about, state


def _parsed(what: object, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def _checked(path: Path, about: object) -> Mapping[str, object]:
    """Return ``about`` if it describes a predictor of ours; raise ValueError otherwise."""
    config = about.get("config") if isinstance(about, Mapping) else None
    other = OTHER_TASKS.get(str(about.get("task"))) if config is not None else None
    if other is not None:
        raise ValueError(f"{path} holds {other}")
    if not isinstance(config, Mapping) or "name" not in config or "in_shape" not in config:
        raise ValueError(f"{path} describes no predictor; scripts/import_weights.py imports others")
    return about
