"""Back ends of the selective scan against the textbook loop."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from predcnn.ops.scan import selective_scan
from scripts.dev.speed.comparing import Comparison

BATCH, CHANNELS, STATES, LENGTH = 4, 1024, 16, 256


def inputs(seed: int = 0) -> list[Tensor]:
    """u, delta, A, B, C of the published comparison size; all of them learn."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    u, step = draw(BATCH, CHANNELS, LENGTH), draw(BATCH, CHANNELS, LENGTH) - 2
    A = -torch.arange(1, STATES + 1, dtype=torch.float32).repeat(CHANNELS, 1)
    B, C = draw(BATCH, STATES, LENGTH), draw(BATCH, STATES, LENGTH)
    return [tensor.requires_grad_() for tensor in (u, step, A, B, C)]


def scan_and_gradients(tensors: list[Tensor], backend: str | None) -> list[Tensor]:
    """The output of the scan and the gradients of its mean square."""
    y = selective_scan(*tensors, delta_softplus=True, backend=backend)
    return [y, *torch.autograd.grad(y.square().mean(), tensors)]


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """Forward and backward at batch 4, 1,024 channels, 16 states, 256 steps; textbook is plain."""
    tensors = inputs()
    for backend in ("compiled", "parallel"):
        if wanted(backend):
            yield Comparison(
                f"{backend} scan, forward + backward",
                lambda backend=backend: scan_and_gradients(tensors, backend),
                lambda: scan_and_gradients(tensors, "textbook"),
                tolerance=1e-4,
            )
