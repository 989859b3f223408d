"""Output on the terminal: one line at a time, from the first process only."""

import logging
import warnings

from lightning.pytorch.utilities import rank_zero_only

CHATTY = ("lightning.pytorch", "lightning.fabric")


def quiet_libraries() -> None:
    """Silence Lightning's tips and device listings, and two warnings."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")
    # Without workers loading is fast enough on a CPU (measured).
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")


@rank_zero_only
def say(text: str) -> None:
    """Print one line, from the first process only."""
    print(text, flush=True)
