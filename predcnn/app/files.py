"""Files of a run: written whole or not at all, found again, refused with a reason."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from predcnn.files import write_json, write_text  # noqa: F401  moved; importers follow


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


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[bool]:
    """Whether no other process of this machine writes to ``folder``; if so, say so to the others.

    The system forgets a writer that dies. Where nothing can be locked (Windows, some network file
    systems) every folder is free.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    path = folder / ".lock"
    with path.open("a") as file:
        free = True
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # what POSIX allows for a held lock
            free = False
        except OSError:  # locks are not supported here
            pass
        try:
            yield free
        finally:
            if free:
                path.unlink(missing_ok=True)
