"""Libraries that draw from the process's own random numbers, made to draw from a named stream."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_process(key: int) -> None:
    """Start Python's, numpy's and PyTorch's CPU generators of this process from a 64-bit key."""
    random.seed(key)
    np.random.seed([key & 0xFFFFFFFF, key >> 32])
    torch.default_generator.manual_seed(key)


@contextlib.contextmanager
def borrowed_randomness() -> Iterator[None]:
    """The three generators may be seeded inside; afterwards they go on where they were."""
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        torch.set_rng_state(tensors)
