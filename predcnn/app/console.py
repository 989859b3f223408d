"""Output on the terminal: lines and progress, from the first process only."""

import logging
import sys
import time
import warnings

from lightning.pytorch.utilities import rank_zero_only

CHATTY = ("lightning.pytorch", "lightning.fabric")


def quiet_libraries() -> None:
    """Silence Lightning's tips and device listings, and three warnings."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")
    # Without workers loading is fast enough on a CPU (measured).
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    # A run with short epochs logs fewer values.
    warnings.filterwarnings("ignore", message=r".*is smaller than the logging interval.*")


@rank_zero_only
def say(text: str) -> None:
    """Print one line, from the first process only."""
    print(text, flush=True)


class Progress:
    """Progress of long work: a bar on a terminal, elsewhere one line every few seconds.

    Args:
        seconds: between two lines.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._last = time.monotonic()
        self._bar = None
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> "Progress":
        if sys.stdout.isatty():
            from rich import progress

            columns = progress.TextColumn("{task.description}"), progress.BarColumn()
            numbers = progress.MofNCompleteColumn(), progress.TimeElapsedColumn()
            self._bar = progress.Progress(*columns, *numbers, transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int | None = None) -> None:
        """Report that ``done`` of ``total`` units of ``what`` are finished."""
        if self._bar is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(what, total=total)
            self._bar.update(self._tasks[what], completed=done, total=total)
        elif time.monotonic() - self._last >= self.seconds:
            self._last = time.monotonic()
            say(f"{what}: {done:,}" + ("" if total is None else f" of {total:,}"))
