"""A training step: forward, backward and optimizer."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.benchmarks.comparing import Comparison
from predcnn.benchmarks.models import IN_SHAPE, SIZES, clips, pairs
from predcnn.costs import profile
from predcnn.ops import plain

BATCH = 4


def step(net: nn.Module, past: Tensor, future: Tensor, *, fused: bool) -> Callable[[], list]:
    """One optimizer step of ``net`` per call -> the loss and all gradients."""
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=fused or None)

    def call() -> list[Tensor]:
        optimizer.zero_grad()
        loss = functional.mse_loss(net(past), future)
        loss.backward()
        optimizer.step()
        return [loss.detach(), *(p.grad for p in net.parameters() if p.grad is not None)]

    return call


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """All published translators; batch 4; plain: default Adam.

    The gradients of the first step are compared. A step counts as three forward passes.
    """
    for pair in pairs(wanted, tuple(SIZES)):
        past, future = clips(BATCH)
        macs = 3 * BATCH * profile(pair.ours, IN_SHAPE).macs
        yield Comparison(
            pair.name,
            step(pair.ours, past, future, fused=True),
            plain()(step(pair.plain, past, future, fused=False)),
            tolerance=1e-3,
            macs=macs,
            note=f"batch {BATCH}",
        )
