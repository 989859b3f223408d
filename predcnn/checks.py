"""Argument checks and closest-name suggestions, shared by all error messages."""

import difflib
from collections.abc import Iterable


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


def whole_number(name: str, value: object, least: int = 1) -> int:
    """Return ``value`` if it is an int of at least ``least``, else raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is a whole number, at least {least}, not {value!r}")
    return value
