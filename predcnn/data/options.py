"""Checks that the options of all data sets share."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from predcnn import checks

ROOT = "datasets"


def options_from(kind: type, given: dict[str, object]) -> object:
    """Build a dataclass of options."""
    accepted = [field.name for field in fields(kind)]
    for name in given:
        if name not in accepted:
            near = checks.hint(name, accepted, prefix="data.")
            raise TypeError(f"no option data.{name}; {near}accepted: {', '.join(accepted)}")
    return kind(**given)


def nearest(what: str, given: object, accepted: Iterable[str]) -> None:
    """Raise ValueError, with the closest accepted name, unless ``given`` is accepted."""
    accepted = list(accepted)
    if given not in accepted:
        raise ValueError(checks.unknown(what, given, accepted))


def integer(name: str, value: object, least: int | None = None) -> None:
    """Raise ValueError unless the option ``data.name`` is an integer, and ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"data.{name} is a whole number, not {value!r}")
    if least is not None and value < least:
        raise ValueError(f"data.{name} is at least {least}, not {value}")


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
            integer(name, value, 1)
    for name in ("seed", "eval_seed"):
        integer(name, getattr(options, name))
    for name in flags.split():
        boolean(name, getattr(options, name))
    if not isinstance(options.root, str | Path) or not str(options.root):
        raise TypeError(f"data.root is the path of a file or folder, not {options.root!r}")
    object.__setattr__(options, "root", Path(options.root).expanduser())


def boolean(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"data.{name} is true or false, not {value!r}")
