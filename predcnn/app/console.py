"""What a run says on the terminal, and what it keeps to itself."""

import logging
import warnings

from lightning.pytorch.utilities import rank_zero_only

CHATTY = ("lightning.pytorch", "lightning.fabric")


def quiet_libraries() -> None:
    """Keep Lightning's tips, device listings and one deprecation from between our lines."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")
    # Zero workers are measured to be enough on a CPU; the hint costs attention only.
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")


@rank_zero_only
def say(text: str) -> None:
    """One line on the terminal, from the first process only."""
    print(text, flush=True)
