"""The one interface through which every tool sees a network, and the maps inside it.

Images and past frames have one form: clips (B, T, C, H, W) in [0, 1], where an image is a clip
of one frame. A network has L outputs: a classifier one, a predictor one per chosen lead time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from predcnn.checks import hint
from predcnn.ops import plain


class Subject(Protocol):
    """A network in eval mode and what the tools ask of it.

    Attributes:
        name: for figures and messages.
        net: the network.
        outputs: names of its L outputs.
        seen_layer: dotted name of the module whose maps Grad-CAM explains.
        channel_layer: dotted name of the module whose channels are ranked.
    """

    name: str
    net: nn.Module
    outputs: tuple[str, ...]

    @property
    def seen_layer(self) -> str: ...

    @property
    def channel_layer(self) -> str: ...

    def enter(self, clips: Tensor) -> Tensor:
        """Clips in [0, 1] as the network wants them, of the same shape."""
        ...

    def response(self, x: Tensor) -> Tensor:
        """Where receptive fields are measured: (B, L, K, h, w)."""
        ...

    def magnitude(self, gradient: Tensor) -> Tensor:
        """How much an input with this gradient contributes, >= 0."""
        ...

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        """What `score` and `reward` are about, one per sample."""
        ...

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        """What Grad-CAM and channel saliency explain: (B, L)."""
        ...

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        """How well the network does on a partly hidden input: (B, L), larger is better."""
        ...

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        """What a module gave in one call on ``x``, as (B, n, C, h, w)."""
        ...


@contextmanager
def recorded(net: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect what the module ``layer`` gives in every call, its first tensor where it gives more.

    What follows works on copies, so an in-place operation behind the module changes nothing here.
    """
    module, found = _module(net, layer), []

    def keep(_: nn.Module, __: tuple, out: object) -> object:
        several = isinstance(out, tuple | list)
        first = out[0] if several else out
        if not isinstance(first, Tensor):
            raise TypeError(f"layer {layer!r} gives a {type(first).__name__}, not a tensor of maps")
        found.append(first)
        copy = first.clone()
        return type(out)((copy, *out[1:])) if several else copy

    hook = module.register_forward_hook(keep)
    try:
        with plain():  # layers that fast paths join would take no part
            yield found
    finally:
        hook.remove()
    if not found:
        raise ValueError(f"layer {layer!r} takes no part in a forward pass")


def _module(net: nn.Module, layer: str) -> nn.Module:
    names = [name for name, _ in net.named_modules() if name]
    if layer in names:
        return net.get_submodule(layer)
    raise ValueError(f"no layer {layer!r}; {hint(layer, names)}{layers_of(net)}")


def layers_of(net: nn.Module, depth: int = 2) -> str:
    """The names of the outer modules, for messages."""
    names = [name for name, _ in net.named_modules() if name and name.count(".") < depth]
    listed = ", ".join(names[:20]) or "none"
    return f"modules: {listed}{' …' if len(names) > 20 else ''}"


def maps_and_gradients(
    subject: Subject, layer: str, x: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Maps of a layer and what each output's score would gain from them; clip by clip.

    Args:
        layer: dotted name of one of its modules; the maps of several calls follow each other.
        x: entered clips (N, T, C, H, W).

    Returns:
        maps (N, n, C, h, w) and gradients (L, N, n, C, h, w).
    """
    pairs = [_of_one_clip(subject, layer, x[i : i + 1], target[i : i + 1]) for i in range(len(x))]
    maps, gradients = zip(*pairs, strict=True)
    return torch.cat(maps), torch.cat(gradients, dim=1)


def _of_one_clip(
    subject: Subject, layer: str, clip: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    x = clip.detach().requires_grad_()
    with torch.enable_grad(), recorded(subject.net, layer) as found:
        scores = subject.score(x, target)
    gradients = []
    for score in scores[0]:
        raw = torch.autograd.grad(score, found, retain_graph=True, materialize_grads=True)
        gradients.append(torch.cat([subject.maps(part, x) for part in raw], dim=1))
    maps = torch.cat([subject.maps(part.detach(), x) for part in found], dim=1)
    return maps, torch.stack(gradients)
