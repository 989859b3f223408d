"""Errors in a user's input, explained in one sentence with the closest right name."""

import re

from hydra import errors
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import predcnn
from predcnn.app.help import groups, reference
from predcnn.checks import closest, unknown

EXPECTED = (
    ValueError, KeyError, TypeError, OSError, ImportError, RuntimeError, errors.HydraException,
    OmegaConfBaseException, YAMLError,
)  # fmt: skip
"""Errors that wrong input raises; any other one is a bug and keeps its traceback."""
LOST_PROCESS = re.compile(r"gloo/transport.* by peer|NCCL.*remote process exited", re.DOTALL)
"""Messages of gloo and NCCL when another process has ended."""

SYNONYMS = {
    "lr": "optimizer.lr", "learning_rate": "optimizer.lr", "wd": "optimizer.weight_decay",
    "epochs": "trainer.max_epochs", "num_epochs": "trainer.max_epochs",
    "steps": "trainer.max_steps", "bs": "data.batch_size", "batch": "data.batch_size",
    "workers": "data.num_workers", "gpus": "trainer.devices", "data_path": "data.root",
    "dataset": "data", "checkpoint": "ckpt_path", "ckpt": "ckpt_path", "pretrained": "weights",
}  # fmt: skip
"""Names that other programs have for settings of this one."""


def expected(error: Exception) -> bool:
    """Return whether an error is due to the input; Lightning is not imported to find out."""
    return isinstance(error, EXPECTED) or type(error).__name__ == "MisconfigurationException"


def explain(error: BaseException, config_name: str) -> str:
    """Return one sentence for an error that reached the command line."""
    if isinstance(error, errors.MissingConfigException):
        return _unknown_choice(error)
    if isinstance(error, errors.OverrideParseException):
        return (
            f"cannot read {error.override!r}: an override is NAME=VALUE, and a value with special "
            "characters needs quotes of its own, as in name='\"a (b)\"'"
        )
    while isinstance(error, errors.InstantiationException) and error.__cause__ is not None:
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
        return "this data set has images, not sequences; use predcnn train_backbone"
    if LOST_PROCESS.search(text):
        return "another process of this run ended (see its message, if it left one)"
    return text or type(error).__name__


def _unknown_choice(error: errors.MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    options = sorted(error.options or [])
    if not (group and options):
        return str(error).split("\n", 1)[0]
    if group == "model" and not closest(name, options):
        for block in closest(name, predcnn.list_translators(), most=1):
            return f"no model {name!r}; {block} is a translator: translator={block}"
    return unknown(group, name, options)


def _unknown_key(key: str, config_name: str) -> str:
    if key == "translator" and config_name == "train":
        return "translator= belongs to model=simvp; this model has no translator"
    near = meant(key, config_name)
    if key in near:
        return f"no setting {key!r} in the chosen groups, only in others; --help lists all settings"
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return f"no setting {key!r}; {hint}--help lists all settings"


def meant(key: str, command: str) -> list[str]:
    """Return what a wrong name may mean: `SYNONYMS`, else its ending, else its spelling."""
    known = [*groups(command), *(setting.override for setting in reference(command))]
    last = key.rpartition(".")[2]
    usual = SYNONYMS.get(last.lower())
    if usual in known:
        return [usual]
    return [name for name in known if name.rpartition(".")[2] == last][:3] or closest(key, known)
