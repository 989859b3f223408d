"""Random generators of a process, and the start of a loader's processes."""

import gc
import os
import random

import numpy as np
import torch


def seed_process(key: int) -> None:
    """Seed Python's, numpy's and PyTorch's CPU generators with a 64-bit key."""
    random.seed(key)
    np.random.seed([key & 0xFFFFFFFF, key >> 32])
    torch.default_generator.manual_seed(key)


def start_worker(number: int) -> None:
    """Leave Ctrl-C to the training process, which stops its workers after its last step.

    Python's garbage collector ignores what was inherited: by visiting it, it would copy the memory.
    """
    gc.freeze()
    if hasattr(os, "setpgrp"):  # not on Windows
        os.setpgrp()
