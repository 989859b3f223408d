"""Append-only JSON lines that several processes may write at once.

``kind`` is "probe" (duration of a step), "run" (a finished or failed entry), "reference" (a
baseline without a model), "costs" or "reproduction". Lines are never changed: the newest about a
``fingerprint`` counts. Lines may come from others, so they are checked when read.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from predcnn.leaderboard.record_schema import problem

SCHEMA = 2
LONGEST = 1_000_000  # bytes of a line


@dataclass(frozen=True)
class Records:
    """Content of a file: records, oldest first, and number of an ignored line -> the reason."""

    rows: list[dict] = field(default_factory=list)
    ignored: dict[int, str] = field(default_factory=dict)

    def warnings(self, path: Path) -> list[str]:
        """Return one sentence per ignored line."""
        return [f"{path}, line {n}: ignored, {why}" for n, why in self.ignored.items()]


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
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with lock, path.open("ab+", buffering=0) as file:
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
    path, found = Path(path), Records()
    if not path.exists():
        return found
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(line) > LONGEST:
            found.ignored[number] = f"it is longer than {LONGEST:,} bytes"
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # not JSON, or half a character
            record = None
        if not isinstance(record, dict):
            found.ignored[number] = "it is incomplete or no JSON object"
        elif record.get("schema") != SCHEMA:
            given = record.get("schema")
            raise ValueError(f"{path}, line {number}: schema {given!r}, accepted: {SCHEMA}")
        elif (why := problem(record)) is not None:
            found.ignored[number] = why
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
