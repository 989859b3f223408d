"""Atomic writing, checksums and locks of files."""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

CHUNK = 1 << 20  # bytes read at a time
_PART = ".part"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path (same folder and suffix) that replaces ``path`` if the block succeeds.

    The content is flushed to disk before the rename. Folders are made as needed. A killed process
    leaves the temporary file, see `remove_leftovers`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # shortened: the name is as long as a file system allows at most
    temporary = path.with_name(f".{path.stem[:100]}.{os.getpid()}{_PART}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically: a reader sees the old file or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def finite(value: object) -> object:
    """Replace numbers that JSON does not have (infinity, NaN) by None, at any depth."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_writable(folder: Path) -> None:
    """Raise PermissionError before anything is computed that could not be written."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".write_probe_{os.getpid()}"  # every rank has its own
    try:
        probe.touch()
    except OSError as error:
        raise PermissionError(
            f"the run directory {folder} is not writable ({error.strerror}); "
            "choose another with hydra.run.dir=…"
        ) from error
    probe.unlink(missing_ok=True)


@contextmanager
def only_writer(folder: Path, timeout: float = 0) -> Iterator[bool]:
    """Yield whether a folder could be locked; a process that dies loses its lock."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(PermissionError):  # Windows: another process has the file open
            (folder / ".lock").unlink(missing_ok=True)
        lock.release()


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes; no other process may write to ``folder``."""
    for path in folder.rglob(f".*{_PART}*"):
        path.unlink(missing_ok=True)


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal checksum of a file, read in pieces."""
    state = hashlib.new(algorithm)
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            state.update(piece)
    return state.hexdigest()


def check_zip(file: Path | BinaryIO) -> None:
    """Raise ValueError for a zip file, such as torch.save writes, with wrong checksums."""
    path = file if isinstance(file, Path) else file.name
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged file raises almost anything
        raise ValueError(f"{path} cannot be read: it is damaged ({error})") from error
    if damaged is not None:
        raise ValueError(f"{path} is damaged: {damaged} does not match its checksum")
