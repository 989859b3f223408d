"""Append-only JSON lines that several processes may write at once.

One line is one fact: ``kind`` "probe" (duration of a step), "run" (a finished or failed entry),
"reference" (a baseline without a model), "costs" or "reproduction". Lines are never changed: the
newest about a ``fingerprint`` counts. Lines may come from others, so they are checked when read.
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
    """Content of a file.

    Attributes:
        rows: the records in the order they were written.
        damaged: numbers of lines that are not JSON, from 1: a writer was killed.
        refused: number of a line -> why it is not a valid record.
    """

    rows: list[dict] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def warnings(self, path: Path) -> list[str]:
        """Return one sentence per kind of ignored line."""
        found = [f"{path}, line {n}: ignored, {why}" for n, why in self.refused.items()]
        if self.damaged:
            found.append(f"{path}: lines {self.damaged} are incomplete and ignored")
        return found


def append(path: str | Path, record: dict) -> None:
    """Add one record and return when it is on the disk.

    Writers wait for each other. A line that a killed writer left incomplete is closed with a line
    break, so that it costs one line only.
    """
    path = Path(path)
    line = json.dumps({"schema": SCHEMA, **record}, allow_nan=False, ensure_ascii=False)
    content = f"{line}\n".encode()
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
            found.refused[number] = f"it is longer than {LONGEST:,} bytes"
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # not JSON, or half a character
            record = None
        if not isinstance(record, dict):
            found.damaged.append(number)
        elif record.get("schema") != SCHEMA:
            raise ValueError(
                f"{path}, line {number}: schema {record.get('schema')!r}, this version reads "
                f"{SCHEMA}"
            )
        elif (why := problem(record)) is not None:
            found.refused[number] = why
        else:
            found.rows.append(record)
    return found


def newest(rows: Iterable[dict], kind: str, code: str | None = None) -> dict[str, dict]:
    """Return fingerprint -> the newest record of a kind, of one version of the code or of all.

    ``rows`` are sorted, the oldest first. A failure never hides a success.
    """
    found: dict[str, dict] = {}
    for row in rows:
        if row["kind"] != kind or code not in (None, row.get("code")):
            continue
        before = found.get(row["fingerprint"])
        if before is None or row.get("status") != "failed" or before.get("status") == "failed":
            found[row["fingerprint"]] = row
    return found
