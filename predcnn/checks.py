"""Argument checks and closest-name suggestions, shared by all error messages."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


def closest(name: object, options: Iterable[str], most: int = 3) -> list[str]:
    """Return the ``options`` closest to ``name``: case is ignored, a common beginning counts."""
    spellings = {str(option).casefold(): str(option) for option in options}
    wanted = str(name).casefold()
    near = [other for other in sorted(spellings) if wanted and other.startswith(wanted)]
    near += difflib.get_close_matches(wanted, spellings, n=most)
    return [spellings[other] for other in dict.fromkeys(near)][:most]


def hint(name: object, options: Iterable[str], prefix: str = "") -> str:
    """Return "did you mean a, b? " with ``prefix`` before each name, or "" if nothing is close."""
    near = closest(name, options)
    return f"did you mean {', '.join(prefix + other for other in near)}? " if near else ""


def unknown(kind: str, name: object, options: Iterable[str]) -> str:
    """Return the message for a name that is not among ``options``."""
    options = [str(option) for option in options]
    return f"no {kind} {name!r}; {hint(name, options)}accepted: {', '.join(options)}"


def one_of(kind: str, name: object, options: Iterable[object]) -> None:
    """Raise ValueError, with the closest names, unless ``name`` is among ``options``."""
    options = list(options)
    if name not in options:
        raise ValueError(unknown(kind, name, options))


def whole_number(name: str, value: object, least: int | None = 1) -> int:
    """Return ``value`` if it is an int of at least ``least`` (None: any), else raise ValueError."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):
        bound = "" if least is None else f", at least {least}"
        raise ValueError(f"{name} is a whole number{bound}, not {value!r}")
    return value


def needed(package: str, extra: str) -> ModuleType:
    """Import a package that comes with an extra of predcnn; ImportError names the extra."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'predcnn[{extra}]'") from error
