"""What every hostile input must do: end soon, in one clear error, and leave nothing behind.

A new case is a new row in a table of this folder: its name, what is given, and a part of the
sentence that refuses it.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REFUSALS = (ValueError, KeyError, TypeError, OSError, ImportError, RuntimeError)
COMPUTING, WAITING = 30, 600  # seconds; a case takes milliseconds, machines may be busy


class Payload:
    """Makes the folder ``executed`` when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "executed"),)


@contextmanager
def within() -> Iterator[None]:
    """Fail a block that computes or waits without end."""

    def late(*args: object) -> None:
        pytest.fail(f"not refused within {COMPUTING} s of computing or {WAITING} s in all")

    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, COMPUTING),
        signal.SIGALRM: (signal.ITIMER_REAL, WAITING),
    }
    before = {number: signal.signal(number, late) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(call: Callable[[], object], says: str, folder: Path) -> None:
    """Assert that ``call`` raises an error whose sentence matches, and leaves ``folder`` alone."""
    before = listing(folder)
    with within(), pytest.raises(REFUSALS) as caught:
        call()
    text = str(caught.value)
    assert re.search(says, text), text
    assert len(text) < 8000, "no sentence a person reads"
    assert listing(folder) == before, "something was left behind"
