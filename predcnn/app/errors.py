"""Errors of a user's input, said in one sentence with the nearest right thing."""

import difflib
import re

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

EXPECTED = (
    ValueError, KeyError, TypeError, OSError, ImportError, RuntimeError, HydraException,
    OmegaConfBaseException, YAMLError,
)  # fmt: skip
"""What wrong input raises; anything else is a bug of ours and keeps its traceback."""


def expected(error: Exception) -> bool:
    """Whether an error is about what the user gave; Lightning's class is not imported for that."""
    return isinstance(error, EXPECTED) or type(error).__name__ == "MisconfigurationException"


def explain(error: BaseException, config_name: str) -> str:
    """One sentence for an error that reached the command line."""
    if isinstance(error, MissingConfigException):
        return _missing_file(error)
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, KeyError) and not isinstance(error, OmegaConfBaseException):
        return str(error.args[0]) if error.args else "KeyError"
    text = str(error).strip()
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        return f"{missing.group(1)} has no default: say {missing.group(1)}=…"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        return _unknown_key(unknown.group(1), config_name)
    if "Interpolation key 'data.in_shape'" in text:
        return "this data set holds no sequences; images are for scripts/train_backbone.py"
    return text or type(error).__name__


def _near(name: str, options: list[str]) -> str:
    near = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    return f"; did you mean {', '.join(near)}?" if near else "."


def _missing_file(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not group or not options:
        return str(error).split("\n", 1)[0]
    return f"no {group} {name!r}{_near(name, options)} Accepted: {', '.join(options)}"


def _unknown_key(key: str, config_name: str) -> str:
    if key == "translator" and config_name == "train":
        return "translator= belongs to model=simvp; this model has no translator"
    return f"no setting {key!r}{_near(key, _known_keys(config_name))} --help lists all settings"


def _known_keys(config_name: str) -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose(config_name)

    def walk(node: DictConfig, prefix: str) -> list[str]:
        keys = []
        for key in node:
            keys.append(f"{prefix}{key}")
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not (
                child._is_none() or child._is_interpolation()
            ):
                keys += walk(child, f"{prefix}{key}.")
        return keys

    return walk(cfg, "")
