"""Moving MNIST drawn a batch at a time against one sequence, one digit, one frame at a time.

Once as bytes, which is what our loader delivers, and once to the floats in [0, 1] that a network
reads: ours become them on the device, the published ones are divided by 255 sequence by sequence
and collated.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from predcnn.data import to_float
from predcnn.data.generated.options import MovingMNISTOptions
from predcnn.data.sequences import SETS
from scripts.dev.speed.comparing import Comparison
from tests.reference.sprites import colour_sequence, grey_sequence

BATCH = 16


def _sequence(dataset: object, draws: object, background: np.ndarray | None, b: int) -> np.ndarray:
    """One sequence (T, C, H, W) uint8 by the published rules."""
    rows = zip(draws.x[b], draws.y[b], draws.theta[b], draws.sprite[b], strict=True)
    if background is None:
        return grey_sequence(dataset._sprites, rows)
    return colour_sequence(dataset._sprites, dataset._backgrounds[background[b]], rows)


def _as_bytes(sequence: np.ndarray) -> Tensor:
    return torch.from_numpy(sequence).contiguous()


def _as_floats(sequence: np.ndarray) -> Tensor:
    return torch.from_numpy(sequence / 255.0).contiguous().float()


def _pair(name: str, case: str, ours: Callable, finish: Callable) -> Comparison:
    """A batch of the data set, ``ours`` of our bytes against ``finish`` of every sequence."""
    dataset = SETS[name](MovingMNISTOptions(source="embedded")).split("train")
    indices = np.arange(BATCH)

    def one_by_one() -> Tensor:
        draws, background = dataset.draws(0, indices)
        return torch.stack([finish(_sequence(dataset, draws, background, b)) for b in indices])

    return Comparison(case, lambda: ours(dataset.batch(0, indices)), one_by_one, tolerance=1e-6)


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """Moving MNIST and MMNIST-CIFAR from the embedded images; the same pixels."""
    kinds = {"bytes": (torch.Tensor.contiguous, _as_bytes), "floats": (to_float, _as_floats)}
    for name in ("moving_mnist", "mmnist_cifar"):
        for kind, (ours, finish) in kinds.items():
            case = f"{name}, batch of {BATCH} as {kind}"
            if wanted(case):
                yield _pair(name, case, ours, finish)
