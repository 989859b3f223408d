"""Checks that the options of all data sets share."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from predcnn import checks

ROOT = "datasets"
SHARE = ("a number above 0 and below 1", lambda value: 0 < value < 1)
"""Last arguments of `number` for a share of the data."""


def options_from(kind: type, given: dict[str, object]) -> object:
    """Build a dataclass of options."""
    accepted = [field.name for field in fields(kind)]
    for name in given:
        if name not in accepted:
            near = checks.hint(name, accepted, prefix="data.")
            raise TypeError(f"no option data.{name}; {near}accepted: {', '.join(accepted)}")
    return kind(**given)


def number(name: str, value: object, accepted: str, fits: Callable[[float], bool]) -> None:
    """Raise ValueError unless the option ``data.name`` is a number that ``fits``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise ValueError(f"data.{name} is {accepted}, not {value!r}")


def check_options(options: object, counts: str = "", flags: str = "") -> None:
    """Check the options that most data sets share, and fill in defaults.

    ``width`` None becomes the height, ``root`` an expanded path. The options in ``counts``, names
    with spaces between, are 1 or more or the default None; those in ``flags`` are booleans.
    """
    if getattr(options, "width", 0) is None:
        object.__setattr__(options, "width", options.height)
    optional = {field.name for field in fields(options) if field.default is None}
    for name in counts.split():
        value = getattr(options, name)
        if value is not None or name not in optional:
            checks.whole_number(f"data.{name}", value)
    for name in ("seed", "eval_seed"):
        checks.whole_number(f"data.{name}", getattr(options, name), None)
    for name in flags.split():
        if not isinstance(getattr(options, name), bool):
            raise ValueError(f"data.{name} is true or false, not {getattr(options, name)!r}")
    if not isinstance(options.root, str | Path) or not str(options.root):
        raise TypeError(f"data.root is the path of a file or folder, not {options.root!r}")
    object.__setattr__(options, "root", Path(options.root).expanduser())
