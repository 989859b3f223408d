"""Seeds for libraries that draw from the random numbers of the process."""

import random

import numpy as np
import torch


def seed_process(key: int) -> None:
    """Start Python's, numpy's and PyTorch's CPU generators of this process from a 64-bit key."""
    random.seed(key)
    np.random.seed([key & 0xFFFFFFFF, key >> 32])
    torch.default_generator.manual_seed(key)
