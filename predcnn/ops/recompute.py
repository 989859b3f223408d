"""Gradient checkpointing: recompute a module in the backward pass instead of storing results."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def recomputed(part: nn.Module, x: Tensor) -> Tensor:
    """Compute ``part(x)``; its intermediate results are recomputed in the backward pass.

    Both passes draw the same random numbers; running statistics are updated only once.
    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
    https://arxiv.org/abs/1604.06174.
    """
    return checkpoint(
        part, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(part))
    )


@contextmanager
def _frozen_statistics(part: nn.Module) -> Iterator[None]:
    norms = [m for m in part.modules() if isinstance(m, BATCH_NORMS)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
