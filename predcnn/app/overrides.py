"""Turn overrides of the shell into overrides that Hydra reads."""

import os
import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from predcnn.app.errors import meant
from predcnn.checks import closest

PATHS = (
    "ckpt_path", "input", "output", "weights", "lpips_weights", "render_to", "runs", "images",
    "stimuli", "models", "translator.weights", "data.root", "hydra.run.dir", "hydra.sweep.dir",
)  # fmt: skip
"""Settings that are paths: any file name is accepted as their value."""
FLAGS = (
    "help", "hydra-help", "version", "cfg", "resolve", "package", "run", "multirun",
    "shell-completion", "config-path", "config-name", "config-dir", "experimental-rerun", "info",
)  # fmt: skip
"""Options of Hydra that begin with two dashes."""
SPELLINGS = {"analyze": {"model": "models"}}
"""Overrides that Hydra would take for a config group: {given: meant}."""


def readable(command: str, arguments: list[str]) -> list[str]:
    """Return the arguments of a command, with paths quoted where Hydra's grammar needs it."""
    sweeps = not {"-m", "--multirun"}.isdisjoint(arguments)
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        if word.startswith("--"):
            _check_option(command, word, following)
    meant_keys, words = SPELLINGS.get(command, {}), []
    for word in arguments:
        key, equals, value = word.partition("=")
        key = meant_keys.get(key, key)
        if equals and key.lstrip("+") in PATHS:
            value = quoted_path(value, sweeps)
        words.append(f"{key}{equals}{value}")
    return words


def quoted_path(value: str, sweeps: bool = False) -> str:
    """Return a path quoted so that Hydra reads it unchanged, with ``~`` expanded.

    Null, quoted values, lists and (if ``sweeps``) choices such as ``a,b`` stay, unless a file has
    that name.
    """
    if value in ("", "null") or value[0] in "'\"":
        return value
    if value[0] == "~":
        value = os.path.expanduser(value)
    try:
        read = OverridesParser.create().parse_override(f"key={value}").value()
    except HydraException:
        read = None
    if read is None and value[0] + value[-1] == "[]" and "," in value and not os.path.exists(value):
        example = '\'["a (1).mp4","b.mp4"]\''
        raise ValueError(f"{value} is no list: quote each name, as {example}, or all of one name")
    several = isinstance(read, list) or (sweeps and not isinstance(read, str | int | float | None))
    if read == value or (several and not os.path.exists(value)):
        return value
    # a backslash before a quote would escape it
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", "\\'"), value) + "'"


def _check_option(command: str, word: str, following: str) -> None:
    name, _, value = word.removeprefix("--").partition("=")
    if not value and "=" not in following and not following.startswith("-"):
        value = following
    if any(flag.startswith(name) for flag in FLAGS):
        return
    near = closest(name, FLAGS, most=1)
    known = meant(name.replace("-", "_"), command)
    setting = known[0] if known else name
    hint = f"did you mean --{near[0]}? " if near else ""
    raise ValueError(f"no option --{name}; {hint}settings have no dashes: {setting}={value or '…'}")
