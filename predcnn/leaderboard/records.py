"""Append-only JSON lines that several processes may write at once.

``kind`` is "probe" (duration of a step), "run" (a finished or failed entry), "reference" (a
baseline without a model), "robustness" (tests with noise), "costs" or "reproduction". Lines are
never changed: the newest about a ``fingerprint`` counts. Lines may come from others, so they are
checked when read.
"""

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from filelock import FileLock

SCHEMA = 2
LONGEST = 1_000_000  # bytes of a line


class Records(NamedTuple):
    """Records of a file, oldest first, and number of an ignored line -> the reason."""

    rows: list[dict]
    ignored: dict[int, str]


def as_line(record: dict) -> str:
    """Return the line of a record, without its line break."""
    return json.dumps({"schema": SCHEMA, **record}, allow_nan=False, ensure_ascii=False)


def append(path: str | Path, record: dict) -> None:
    """Add one record under a lock and return when it is on the disk.

    A line that a killed writer left incomplete is closed first, so that only that line is lost.
    """
    path = Path(path)
    content = f"{as_line(record)}\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            content = content if file.read(1) == b"\n" else b"\n" + content
        try:
            written = file.write(content)
            if written != len(content):
                raise OSError(f"{path}: only {written} of {len(content)} bytes could be written")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def read(path: str | Path) -> Records:
    """Read all records of a file; without a file there are none."""
    path, found = Path(path), Records([], {})
    if not path.exists():
        return found
    for n, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(line) > LONGEST:
            found.ignored[n] = f"it is longer than {LONGEST:,} bytes"
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # not JSON, or half a character
            record = None
        if not isinstance(record, dict):
            found.ignored[n] = "it is incomplete or no JSON object"
        elif record.get("schema") != SCHEMA:
            given = record.get("schema")
            raise ValueError(f"{path}, line {n}: schema {given!r}, accepted: {SCHEMA}")
        elif (why := problem(record)) is not None:
            found.ignored[n] = why
        else:
            found.rows.append(record)
    return found


def newest(rows: Iterable[dict], kind: str, code: str | None = None) -> dict[str, dict]:
    """Return fingerprint -> the newest record of a kind, of one version of the code or of all.

    ``rows`` are sorted, the oldest first. A failure never replaces a success.
    """
    found: dict[str, dict] = {}
    for row in rows:
        if row["kind"] != kind or code not in (None, row.get("code")):
            continue
        before = found.get(row["fingerprint"])
        if before is None or row.get("status") != "failed" or before.get("status") == "failed":
            found[row["fingerprint"]] = row
    return found


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


def kind_of_entry(value: object) -> bool:
    """Accept "translator" and "model"."""
    return value in ("translator", "model")


Rule = Callable[[object], bool] | dict | list | tuple
"""A test; {key: rule}, optional with "?"; {name: rule} for any keys; [rule] for lists; (rule,) for
a value or null."""

TESTED = {"metrics": {name: (number,)}, "per_frame": {name: [(number,)]}}
NOISY = ("clean", "perceptual", "missing", "dynamic")
DATA = {"name": name, "source": text, "protocol": name, "sequences": {name: number}}
KINDS: dict[str, Rule] = {
    "probe": {"fingerprint": name, "code": text, "name": name,
              "pace": {"seconds_per_step": number, "steps": number}},
    "reference": {"fingerprint": name, "name": name, "results": TESTED},
    "reproduction": {"fingerprint": name},
    "robustness": {"fingerprint": name, "name": name, "kind_of_entry": kind_of_entry,
                   "data": DATA, "tests": dict.fromkeys(NOISY, TESTED | {"copy_last": TESTED})},
    "costs": {"fingerprint": name, "code": text, "name": name, "kind_of_entry": name,
              "data": name, "scale": name, "in_shape": [number], "status": name},
    "run": {"fingerprint": name, "code": name, "name": name, "seed": number,
            "kind_of_entry": kind_of_entry, "data": DATA,
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
    if not isinstance(rule, list | dict):
        return None if rule(value) else path
    if not isinstance(value, type(rule)):
        return path
    if isinstance(rule, list):
        parts = [(f"{path}[{i}]", part, rule[0]) for i, part in enumerate(value)]
    elif name in rule:
        parts = [(f"{path} key", key, name) for key in value]
        parts += [(f"{path}.{key}", part, rule[name]) for key, part in value.items()]
    else:
        keys = {key.rstrip("?"): key for key in rule}
        parts = [
            (f"{path}.{key}", value.get(key), rule[full])
            for key, full in keys.items()
            if key in value or key == full
        ]
    return next((bad for p, v, r in parts if (bad := _mismatch(v, r, p)) is not None), None)
