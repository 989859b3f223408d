"""A training step: forward, backward and optimizer."""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.costs import profile
from predcnn.ops import plain
from scripts.dev.speed.comparing import Comparison
from tests.reference.simvp import IN_SHAPE, SIZES, Pair, clips, pairs

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


def _in_double(pair: Pair, past: Tensor, future: Tensor) -> tuple[Callable[[], list], ...] | None:
    """Both steps in double precision for a net whose slopes jump, else None.

    Of a million values before a leaky ReLU some are so near to zero that rounding decides their
    sign, and with it their gradient: single precision does not say whether two ways are equal.
    """
    if not any(isinstance(part, nn.ReLU | nn.LeakyReLU) for part in pair.ours.modules()):
        return None
    ours, other = (copy.deepcopy(net).double() for net in (pair.ours, pair.plain))
    past, future = past.double(), future.double()
    return (
        step(ours, past, future, fused=True),
        plain()(step(other, past, future, fused=False)),
    )


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """All published translators; batch 4; plain: default Adam.

    The gradients of the first step are compared. A step counts as three forward passes.
    """
    for pair in pairs(wanted, tuple(SIZES)):
        past, future = clips(BATCH)
        macs = 3 * BATCH * profile(pair.ours, IN_SHAPE).macs
        exactly = _in_double(pair, past, future)
        yield Comparison(
            pair.name,
            step(pair.ours, past, future, fused=True),
            plain()(step(pair.plain, past, future, fused=False)),
            tolerance=1e-9 if exactly else 1e-3,
            macs=macs,
            note=f"batch {BATCH}" + (", compared in double precision" if exactly else ""),
            exactly=exactly,
        )
