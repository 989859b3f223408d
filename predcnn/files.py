"""Files that appear complete or not at all, and archives that know whether they are whole."""

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

CHUNK = 1 << 20  # bytes read at a time
_MARK = b"predcnn sha256 "
_SEAL = len(_MARK) + 64  # bytes: the mark and the hexadecimal checksum
_END = struct.Struct("<4s16xH")  # a zip file's last record: signature … length of its comment
_PART = ".part"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same suffix) that takes its place when the block succeeds.

    The content is on the disk before the name is. Folders are made as needed; if the block raises,
    the temporary file is removed and what was at ``path`` before is untouched. A process that is
    killed leaves the temporary file, see `remove_leftovers`.
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
    """Try to lock a folder; yield whether the lock was acquired.

    The system releases the lock of a process that dies.

    Args:
        folder: it exists.
        timeout: seconds to wait for another process; negative: as long as it takes.
    """
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
    """Remove what killed processes left half-written in a folder that nobody else writes to."""
    for path in folder.rglob(f".*{_PART}*"):
        path.unlink(missing_ok=True)


def digest(path: Path, algorithm: str = "sha256", size: int | None = None) -> str:
    """Hexadecimal checksum of a file or of its first ``size`` bytes, read in pieces."""
    state = hashlib.new(algorithm)
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(CHUNK, left))):
            state.update(piece)
            left -= len(piece)
    return state.hexdigest()


def seal(path: Path) -> None:
    """Verify a zip file, such as torch.save writes, and write its SHA-256 into its comment.

    Raises:
        ValueError: the file does not hold what was meant to be written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # its checksums were computed from memory, before anything was written
            damaged, comment = archive.testzip(), archive.comment
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} was not written whole: {error}") from error
    if damaged is not None or comment:
        raise ValueError(f"{path} was not written as it should be: {damaged or 'it has a comment'}")
    with path.open("rb+") as file:
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", _SEAL))
    checksum = digest(path)
    with path.open("ab") as file:
        file.write(_MARK + checksum.encode())


def check_seal(path: Path) -> bool:
    """True for a sealed file that is what it was; False for a file that nobody sealed.

    Raises:
        ValueError: the file has changed since it was sealed.
    """
    size = path.stat().st_size
    if size < _END.size + _SEAL:
        return False
    with path.open("rb") as file:
        file.seek(-_END.size - _SEAL, os.SEEK_END)
        end, mark = file.read(_END.size), file.read(_SEAL)
    # either will do: a damaged seal is no missing one
    if _END.unpack(end) != (b"PK\x05\x06", _SEAL) and not mark.startswith(_MARK):
        return False
    if mark != _MARK + digest(path, size=size - _SEAL).encode():
        raise ValueError(f"{path} is damaged: its content does not have the checksum it was given")
    return True
