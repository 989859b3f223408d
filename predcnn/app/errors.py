"""Errors in a user's input, explained in one sentence with the closest right name."""

import re

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from predcnn.checks import hint, unknown

EXPECTED = (
    ValueError, KeyError, TypeError, OSError, ImportError, RuntimeError, HydraException,
    OmegaConfBaseException, YAMLError,
)  # fmt: skip
"""Errors that wrong input raises; any other one is a bug and keeps its traceback."""


def expected(error: Exception) -> bool:
    """Return whether an error is due to the input; Lightning is not imported to find out."""
    return isinstance(error, EXPECTED) or type(error).__name__ == "MisconfigurationException"


def explain(error: BaseException, config_name: str) -> str:
    """Return one sentence for an error that reached the command line."""
    if isinstance(error, MissingConfigException):
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        options = sorted(error.options or [])
        return unknown(group, name, options) if group and options else str(error).split("\n", 1)[0]
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, KeyError) and not isinstance(error, OmegaConfBaseException):
        return str(error.args[0]) if error.args else "KeyError"
    text = str(error).strip()
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        return f"{missing.group(1)} has no default: give {missing.group(1)}=…"
    key = re.search(r"Could not override '([^']+)'", text)
    if key:
        return _unknown_key(key.group(1), config_name)
    if "Interpolation key 'data.in_shape'" in text:
        return "this data set holds no sequences; images are for scripts/train_backbone.py"
    return text or type(error).__name__


def _unknown_key(key: str, config_name: str) -> str:
    if key == "translator" and config_name == "train":
        return "translator= belongs to model=simvp; this model has no translator"
    return f"no setting {key!r}; {hint(key, _known_keys(config_name))}--help lists all settings"


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
