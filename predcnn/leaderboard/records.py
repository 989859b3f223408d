"""Append-only JSON lines that many processes may write at once.

One line is one fact: ``kind`` "probe" (steps that fit a budget), "run" (a finished or failed entry)
or "reference" (a line computed without a model). Nothing is changed later: the newest line about a
``fingerprint`` counts.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCHEMA = 1


@dataclass(frozen=True)
class Records:
    """What a file holds.

    Attributes:
        rows: the records in the order they were written.
        damaged: numbers of lines that are no record, from 1: a writer was killed in the middle.
    """

    rows: list[dict]
    damaged: list[int]


def append(path: str | Path, record: dict) -> None:
    """Add one record and return when it is on the disk.

    Writers wait for each other. What a killed writer left unfinished is closed with a line break,
    so that it costs one line only.

    Raises:
        ValueError: the record holds NaN or infinity.
        OSError: the line could not be written whole; nothing of it remains.
    """
    path = Path(path)
    line = json.dumps({"schema": SCHEMA, **record}, allow_nan=False, ensure_ascii=False)
    content = f"{line}\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            content = b"\n" + content
        written = os.write(file, content)
        if written != len(content):
            os.ftruncate(file, size)
            raise OSError(f"{path}: only {written} of {len(content)} bytes could be written")
        os.fsync(file)
    finally:
        os.close(file)  # and with it the lock


def read(path: str | Path) -> Records:
    """All records of a file; none if there is no file.

    Raises:
        ValueError: a record of another schema.
    """
    path = Path(path)
    rows, damaged = [], []
    if not path.exists():
        return Records(rows, damaged)
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # not JSON, or half a character
            record = None
        if not isinstance(record, dict):
            damaged.append(number)
            continue
        if record.get("schema") != SCHEMA:
            raise ValueError(
                f"{path}, line {number}: schema {record.get('schema')!r}, this version reads "
                f"{SCHEMA}"
            )
        rows.append(record)
    return Records(rows, damaged)


def newest(rows: Iterable[dict], kind: str) -> dict[str, dict]:
    """fingerprint -> the newest record of a kind; a failure never hides an earlier success."""
    found: dict[str, dict] = {}
    for row in rows:
        if row["kind"] != kind:
            continue
        before = found.get(row["fingerprint"])
        if before is None or row.get("status") != "failed" or before.get("status") == "failed":
            found[row["fingerprint"]] = row
    return found
