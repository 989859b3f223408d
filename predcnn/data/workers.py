"""How the processes of a loader begin."""

import gc
import os


def start_worker(number: int) -> None:
    """Leave Ctrl-C to the training process; freeze what the garbage collector would copy."""
    gc.freeze()
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
