"""Output on the terminal, from the first process only."""

import logging
import time
import warnings

from lightning.pytorch.utilities import rank_zero_only

CHATTY = ("lightning.pytorch", "lightning.fabric")


def quiet_libraries() -> None:
    """Silence Lightning's tips and device listings, and four warnings."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")
    # Without workers loading is fast enough on a CPU (measured).
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    # Strides of a dimension of length 1, as in 1x1 convolutions, cost nothing.
    warnings.filterwarnings("ignore", message=r"Grad strides do not match bucket view strides.*")
    # A run with short epochs logs fewer values.
    warnings.filterwarnings("ignore", message=r".*is smaller than the logging interval.*")


@rank_zero_only
def say(text: str) -> None:
    """Print one line, from the first process only."""
    print(text, flush=True)


class Progress:
    """Print the progress of long work, one line every ten seconds."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None = None) -> None:
        """Report that ``done`` of ``total`` units of ``what`` are finished."""
        if time.monotonic() - self._last >= self.seconds:
            self._last = time.monotonic()
            say(f"{what}: {done:,}" + ("" if total is None else f" of {total:,}"))
