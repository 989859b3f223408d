"""Gradient checkpointing: compute a part again in the backward pass instead of storing it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def recomputed(part: nn.Module, x: Tensor) -> Tensor:
    """Compute ``part(x)``; its inner results are computed again in the backward pass.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
    https://arxiv.org/abs/1604.06174. The random numbers are those of the first time, and running
    statistics are updated once.
    """

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_at_rest(part)

    return checkpoint(part, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_at_rest(part: nn.Module) -> Iterator[None]:
    norms = [m for m in part.modules() if isinstance(m, BATCH_NORMS)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
