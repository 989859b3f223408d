"""The schema of a record: keys, types and limits, checked when a file is read."""

import math
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath


def number(value: object) -> bool:
    """Accept finite numbers."""
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def text(value: object) -> bool:
    """Accept text of any length."""
    return isinstance(value, str)


def name(value: object) -> bool:
    """Accept one short line of printable text."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 200


def inside(value: object) -> bool:
    """Accept relative paths that do not leave their folder."""
    if not text(value) or not name(value.replace("/", "")):
        return False
    kinds = (PurePosixPath(value), PureWindowsPath(value))
    return not any(path.is_absolute() or path.drive or ".." in path.parts for path in kinds)


Rule = Callable[[object], bool] | dict | list | tuple
"""A test; {key: rule}, optional with "?"; {name: rule} for any keys; [rule] for lists; (rule,) for
a value or null."""

TESTED = {"metrics": {name: (number,)}, "per_frame": {name: [(number,)]}}
KINDS: dict[str, Rule] = {
    "probe": {"fingerprint": name, "code": text, "name": name,
              "pace": {"seconds_per_step": number, "steps": number}},
    "reference": {"fingerprint": name, "name": name, "results": TESTED},
    "reproduction": {"fingerprint": name},
    "costs": {"fingerprint": name, "code": text, "name": name, "kind_of_entry": name,
              "data": name, "scale": name, "in_shape": [number], "status": name},
    "run": {"fingerprint": name, "code": name, "name": name, "seed": number,
            "kind_of_entry": lambda value: value in ("translator", "model"),
            "data": {"name": name, "source": text, "protocol": name, "sequences": {name: number}},
            "test_fingerprint": name, "scale": name, "budget_minutes": (number,),
            "recorded": name, "status": lambda value: value in ("finished", "failed"),
            "note?": text, "files": {"sequence?": inside}},
}  # fmt: skip
MEASURED = {"throughput": [{"sequences_per_second": number, "batch_size": number, "device": text}],
            "inference_memory": ({"bytes": number},)}  # fmt: skip
COUNTED = {"params": number, "macs": number, "macs_published": number}
FINISHED: dict[str, Rule] = {
    "costs": {**COUNTED, **MEASURED, "params_published": number},
    "run": {**MEASURED, "training_memory": ({"bytes": number},), "command": text,
            "config": {}, "history": {name: [[(number,)]]},
            "results": {**TESTED, **COUNTED, "copy_last": TESTED, "definitions": {name: text},
                        "timing": {name: number}, "git": ({"commit": name},)}},
}  # fmt: skip
FAILED: Rule = {"reason": text}


def problem(record: dict) -> str | None:
    """Return why a record is not valid; None if it is."""
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return f"its kind is {str(kind)[:40]!r}, not one of {', '.join(KINDS)}"
    wrong = _mismatch(record, KINDS[kind], "")
    if wrong is None and "status" in record:
        rule = FINISHED.get(kind, {}) if record["status"] == "finished" else FAILED
        wrong = _mismatch(record, rule, "")
    return wrong and f"its {wrong.lstrip('.')[:80]!r} is missing or not valid"


def _mismatch(value: object, rule: Rule, path: str) -> str | None:
    """Return the path of the first part of a value that its rule does not accept."""
    if isinstance(rule, tuple):
        return None if value is None else _mismatch(value, rule[0], path)
    if isinstance(rule, list):
        if not isinstance(value, list):
            return path
        parts = [(f"{path}[{i}]", part, rule[0]) for i, part in enumerate(value)]
    elif isinstance(rule, dict):
        if not isinstance(value, dict):
            return path
        parts = _members(value, rule, path)
    else:
        return None if rule(value) else path
    return next((bad for p, v, r in parts if (bad := _mismatch(v, r, p)) is not None), None)


def _members(value: dict, rule: dict, path: str) -> list[tuple[str, object, Rule]]:
    if name in rule:
        keys = [(f"{path} key", key, name) for key in value]
        return keys + [(f"{path}.{key}", part, rule[name]) for key, part in value.items()]
    wanted = {key.rstrip("?"): part for key, part in rule.items()}
    return [
        (f"{path}.{key}", value.get(key), part)
        for key, part in wanted.items()
        if key in value or f"{key}?" not in rule
    ]
