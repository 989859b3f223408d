"""Sequences of each batch, for any number of ranks and from the middle of an epoch."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from predcnn.data.draws import permutation, stream_key
from predcnn.data.sequences import Key


class SequenceSampler(Sampler[list[Key]]):
    """Batches of (epoch, index) keys for one rank.

    Global batch k of W ranks holds the sequences order[k·W·b : (k+1)·W·b]; rank r takes every W-th
    of them from the r-th on. So W ranks with batch size b see the same batches as one process with
    batch size W·b. Nothing is padded or repeated.

    Args:
        batch_size: sequences b per rank and batch.
        train: drop the last incomplete global batch and follow `set_epoch`; otherwise every
            sequence comes exactly once, with epoch 0.
        shuffle: permute the order in every epoch.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        train: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if train and length < batch_size * world_size:
            raise ValueError(
                f"the training split of {length} is less than one batch: data.batch_size="
                f"{batch_size} on {world_size} process(es) needs {batch_size * world_size}"
            )
        self.length, self.batch_size = length, batch_size
        self.train, self.shuffle, self.seed = train, shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.start_batch = 0, 0

    @property
    def sampler(self) -> "SequenceSampler":
        """Return itself: Lightning looks for ``set_epoch`` here."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of ``epoch``; the current epoch keeps its ``start_batch``."""
        if self.train and epoch != self.epoch:
            self.epoch, self.start_batch = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Return the position: epoch and next batch."""
        return {"epoch": self.epoch, "start_batch": self.start_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.start_batch = state["epoch"], state["start_batch"]

    def __len__(self) -> int:
        """Batches in a complete epoch, also after a start in the middle."""
        if self.train:
            return self.length // (self.batch_size * self.world_size)
        return -(-len(range(self.rank, self.length, self.world_size)) // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        # not a generator function: the position is read now, not at the first batch
        epoch, size, order = self.epoch, self.batch_size, np.arange(self.length)
        if self.shuffle:
            order = permutation(stream_key(self.seed, "order", epoch), self.length)
        mine = order[self.rank :: self.world_size].tolist()
        starts = range(self.start_batch * size, len(self) * size, size)
        return ([(epoch, index) for index in mine[at : at + size]] for at in starts)
