"""Random numbers of a training step, whenever it is computed: a resumed run draws what it would."""

import numpy as np


def step_key(seed: int, rank: int, step: int) -> int:
    """64 bits for batch ``step`` of a process."""
    stream = np.random.SeedSequence([seed, rank, step])
    return int(stream.generate_state(1, np.uint64)[0])
