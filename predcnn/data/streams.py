"""Seeds of the global random number generators, for libraries that use them."""

import random

import numpy as np
import torch


def seed_process(key: int) -> None:
    """Seed Python's, numpy's and PyTorch's CPU generators with a 64-bit key."""
    random.seed(key)
    np.random.seed([key & 0xFFFFFFFF, key >> 32])
    torch.default_generator.manual_seed(key)
