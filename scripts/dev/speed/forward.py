"""Inference: fast paths and channels-last against plain operators on contiguous maps."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from predcnn.costs import profile
from predcnn.ops import plain
from scripts.dev.speed.comparing import Comparison
from tests.reference.simvp import IN_SHAPE, clips, pairs


def _call(net: nn.Module, past: Tensor) -> Callable[[], Tensor]:
    net.eval()
    return torch.no_grad()(lambda: net(past))


def _plain_call(net: nn.Module, past: Tensor) -> Callable[[], Tensor]:
    net.eval()
    return torch.no_grad()(plain()(lambda: net(past)))


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """All published translators at both scales, batch 1, eager."""
    past, _ = clips(1)
    for pair in pairs(wanted, ("published", "small")):
        macs = profile(pair.ours, IN_SHAPE).macs
        yield Comparison(
            pair.name, _call(pair.ours, past), _plain_call(pair.plain, past), macs=macs
        )


def compiled_cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """The same, ours through ``torch.compile`` with frozen weights; the plain side stays eager."""
    past, _ = clips(1)
    for pair in pairs(wanted, ("published", "small")):
        macs = profile(pair.ours, IN_SHAPE).macs
        torch.compiler.reset()  # or the ninth model is one too many for the same code
        frozen = torch.compile(pair.ours.eval(), fullgraph=True, options={"freezing": True})
        yield Comparison(
            pair.name,
            torch.no_grad()(lambda frozen=frozen: frozen(past)),
            _plain_call(pair.plain, past),
            macs=macs,
            note="compiled, frozen",
        )
