"""How the processes of a loader begin."""

import gc
import os


def start_worker(number: int) -> None:
    """Leave Ctrl-C to the training process, which stops its workers after its last step.

    Python's garbage collector ignores what was inherited: by visiting it, it would copy the memory.
    """
    gc.freeze()
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
