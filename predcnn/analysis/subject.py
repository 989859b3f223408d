"""The interface through which every tool uses a network, and the maps inside it.

Inputs are clips (B, T, C, H, W) in [0, 1]; an image is a clip of one frame. A network has L
outputs: a classifier one, a predictor one per chosen lead time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from predcnn.checks import hint
from predcnn.ops import plain


class Subject(Protocol):
    """A network in eval mode with the operations that the tools need.

    Attributes:
        name: for figures and messages.
        outputs: names of its L outputs.
        seen_layer: dotted name of the module whose maps Grad-CAM explains.
        channel_layer: dotted name of the module whose channels are ranked.
    """

    name: str
    net: nn.Module
    outputs: tuple[str, ...]
    seen_layer: str
    channel_layer: str

    def enter(self, clips: Tensor) -> Tensor:
        """Convert clips in [0, 1] to the network's input, of the same shape."""

    def response(self, x: Tensor) -> Tensor:
        """Return the maps on which receptive fields are measured, (B, L, K, h, w)."""

    def magnitude(self, gradient: Tensor) -> Tensor:
        """Return the contribution, >= 0, of an input with this gradient."""

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        """Return the target of `score` and `reward`, one per sample."""

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the values that Grad-CAM and channel saliency explain, (B, L)."""

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the quality of the outputs on a partly hidden input, (B, L), larger is better."""

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        """Convert the output of a module in one call on ``x`` to (B, n, C, h, w)."""


@contextmanager
def recorded(net: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect the output of the module ``layer`` in every call, of several tensors the first."""
    names = [name for name, _ in net.named_modules() if name]
    if layer not in names:
        raise ValueError(f"no layer {layer!r}; {hint(layer, names)}{layers_of(net)}")
    found: list[Tensor] = []

    def keep(_: nn.Module, __: tuple, out: object) -> object:
        several = isinstance(out, tuple | list)
        first = out[0] if several else out
        if not isinstance(first, Tensor):
            raise TypeError(f"layer {layer!r} gives a {type(first).__name__}, not a tensor of maps")
        found.append(first)
        copy = first.clone()  # later modules may work in place
        return type(out)((copy, *out[1:])) if several else copy

    hook = net.get_submodule(layer).register_forward_hook(keep)
    try:
        with plain():  # fast paths that join layers would skip the module
            yield found
    finally:
        hook.remove()
    if not found:
        raise ValueError(f"layer {layer!r} is not used in a forward pass")


def layers_of(net: nn.Module) -> str:
    """List the names of the outer modules, for messages."""
    names = [name for name, _ in net.named_modules() if name and name.count(".") < 2]
    listed = ", ".join(names[:20]) or "none"
    return f"modules: {listed}{' …' if len(names) > 20 else ''}"


def maps_and_gradients(
    subject: Subject, layer: str, x: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the maps of a layer, (N, n, C, h, w), and each output's gradients in them, (L, …).

    The maps of several calls are concatenated. Takes a backward pass per clip and output.

    Args:
        x: clips from ``subject.enter`` (N, T, C, H, W).
    """
    maps, gradients = [], []
    for clip, wanted in zip(x.split(1), target.split(1), strict=True):
        entered = clip.detach().requires_grad_()
        with torch.enable_grad(), recorded(subject.net, layer) as found:
            scores = subject.score(entered, wanted)[0]
        raw = [
            torch.autograd.grad(score, found, retain_graph=True, materialize_grads=True)
            for score in scores
        ]
        of_output = [torch.cat([subject.maps(p, clip) for p in parts], dim=1) for parts in raw]
        gradients.append(torch.stack(of_output))
        maps.append(torch.cat([subject.maps(part.detach(), clip) for part in found], dim=1))
    return torch.cat(maps), torch.cat(gradients, dim=1)
