"""What every data set of sequences offers a loader: batches by (epoch, index), and who it is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from predcnn.data.draws import permutation, stream_key
from predcnn.registry import Registry

SETS = Registry("data set")
"""Families of three splits by name: the words ``data.name`` accepts."""

Key = tuple[int, int]
"""(epoch, index): names one sequence of a split for good."""


class SequenceDataset(Dataset, ABC):
    """One split: sequences (T_in+T_out, C, H, W), each a pure function of (epoch, index).

    Attributes:
        in_shape: (T_in, C, H, W).
        frames_out: T_out.
        source: where the pictures come from, in words.
        protocol: how the splits were made, e.g. "isolated".
        fingerprint: SHA-256 over the options, the pools and the first sequence.
        finite: the same sequences come every epoch, so training shuffles them; otherwise every
            epoch has its own.
    """

    in_shape: tuple[int, int, int, int]
    frames_out: int
    source: str
    protocol: str
    fingerprint: str
    finite: bool = True

    @abstractmethod
    def __len__(self) -> int:
        """Sequences per epoch."""

    @abstractmethod
    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Sequences (B, T_in+T_out, C, H, W), uint8 in 0..255 or float32 in [0, 1]."""

    def __getitem__(self, key: int | Key) -> Tensor:
        """One sequence (T_in+T_out, C, H, W); a bare index means epoch 0."""
        epoch, index = (0, key) if isinstance(key, (int, np.integer)) else key
        return self.batch(epoch, [index])[0]

    def __getitems__(self, keys: Sequence[Key]) -> Tensor:
        """A batch of keys at once; what torch's loader calls when it is there."""
        epochs = {epoch for epoch, _ in keys}
        if len(epochs) == 1:
            return self.batch(epochs.pop(), [index for _, index in keys])
        return torch.stack([self[key] for key in keys])

    def _checked(self, indices: Sequence[int]) -> np.ndarray:
        array = np.asarray(indices, dtype=np.int64).reshape(-1)
        if array.size and (array.min() < 0 or array.max() >= len(self)):
            raise IndexError(
                f"sequences {array.min()}..{array.max()} asked for, there are 0..{len(self) - 1}"
            )
        return array


def windows_in_rounds(
    seed: int, epoch: int, indices: np.ndarray, length: int, count: int
) -> np.ndarray:
    """Return which of ``count`` windows the training sequences ``indices`` of an epoch are.

    Training draws all windows in a new order in every round, however many make an epoch.
    """
    positions = int(epoch) * length + indices
    rounds = {
        int(r): permutation(stream_key(seed, "train", int(r)), count)
        for r in np.unique(positions // count)
    }
    return np.array([rounds[p // count][p % count] for p in positions.tolist()])
