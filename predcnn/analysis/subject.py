"""Networks as the tools use them: classifiers, video predictors, and the maps inside them.

Inputs are clips (B, T, C, H, W) in [0, 1]; an image is a clip of one frame. A network has L
outputs: a classifier one, a predictor one per chosen lead time (the definitions of the image tools
applied to each: ours).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from predcnn.checks import hint
from predcnn.ops import plain


class Subject(Protocol):
    """A network in eval mode with the operations that the tools need.

    Attributes:
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
        return clips

    def response(self, x: Tensor) -> Tensor:
        """Return the maps on which receptive fields are measured, (B, L, K, h, w)."""

    def magnitude(self, gradient: Tensor) -> Tensor:
        """Return the contribution, >= 0, of an input with this gradient."""
        return gradient.abs()

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        """Return the target of `score` and `reward`, one per sample."""

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the values that Grad-CAM and channel saliency explain, (B, L)."""

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the quality of the outputs on a partly hidden input, (B, L), larger is better."""

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        """Convert the output of a module in one call on ``x`` to (B, n, C, h, w)."""


class ClassifierSubject:
    """A backbone of ours or of timm, images (B, C, H, W) -> logits, as a `Subject` of one output.

    Receptive fields are measured on the last stage's map after a ReLU, with positive gradients
    only, as RepLKNet's authors do. The target is the class that the network predicts.

    Args:
        net: has ``feature_info`` as in timm.
        mean: of the images the network was trained on, per channel.
        layer: dotted name of the explained module; None: the last stage, or of a vision
            transformer with a class token the first norm of its last block (after it the gradients
            of all other tokens are zero).
    """

    outputs = ("class",)

    def __init__(
        self,
        net: nn.Module,
        name: str,
        *,
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
        layer: str | None = None,
    ) -> None:
        self.net = net.eval()
        self.name = name
        self.mean, self.std = mean, std
        self.prefix = getattr(net, "num_prefix_tokens", 0)
        self.last_stage = self.seen_layer = layer or net.feature_info[-1]["module"]
        if layer is None and self.prefix and hasattr(net.get_submodule(self.last_stage), "norm1"):
            self.seen_layer = f"{self.last_stage}.norm1"
        self.channel_layer = self.seen_layer

    def enter(self, clips: Tensor) -> Tensor:
        shift, scale = (clips.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (clips - shift) / scale

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (B, classes) of (B, 1, C, H, W)."""
        return self.net(x[:, 0])

    def response(self, x: Tensor) -> Tensor:
        with recorded(self.net, self.last_stage) as found:
            self.logits(x)
        return self.maps(found[-1], x).relu()

    def magnitude(self, gradient: Tensor) -> Tensor:
        return gradient.relu()

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        return self.logits(x).argmax(1)

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        return self.logits(x).gather(1, target[:, None])

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        return log_odds(self.logits(x), target)[:, None]

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        if raw.ndim == 3:
            raw = _tokens_to_maps(raw[:, self.prefix :], x)
        elif raw.ndim == 4 and getattr(self.net, "output_fmt", "NCHW") == "NHWC":
            raw = raw.permute(0, 3, 1, 2)
        if raw.ndim != 4 or len(raw) != len(x):
            raise ValueError(
                f"{self.name}: a layer needs maps (B, C, H, W) or tokens (B, N, C) of {len(x)} "
                f"images, not {tuple(raw.shape)}: choose another layer"
            )
        return raw[:, None]


class PredictorSubject(Subject):
    """A predictor, (B, T, C, H, W) -> (B, frames_out, C, H, W), with one output per lead time.

    Receptive fields are those of a predicted pixel, with absolute gradients: darkening counts as
    much as brightening. Grad-CAM and channel saliency explain the sum over the predicted frame's
    pixels. The reward of a partly hidden past is -log of the mean squared error of the prediction
    (up to a factor the PSNR).

    Args:
        leads: lead times from 1 to ``frames_out``; None: first, middle and last.
        layer: dotted name of the explained module; None: the encoder for Grad-CAM (one map per
            past frame), the translator for the channels.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        *,
        leads: Sequence[int] | None = None,
        layer: str | None = None,
    ) -> None:
        last = net.frames_out
        self.leads = tuple(leads or dict.fromkeys((1, (last + 1) // 2, last)))
        wrong = [t for t in self.leads if not 1 <= t <= last]
        if wrong:
            raise ValueError(f"{name} predicts lead times 1 to {last}, not {wrong}")
        self.net = net.eval()
        self.name = name
        self.outputs = tuple(f"+{t}" for t in self.leads)
        self._layer = layer

    @property
    def seen_layer(self) -> str:
        return self._layer or self._part("encoder")

    @property
    def channel_layer(self) -> str:
        return self._layer or self._part("translator")

    def _part(self, name: str) -> str:
        if isinstance(getattr(self.net, name, None), nn.Module):
            return name
        raise ValueError(f"{self.name} has no {name}: give layer=…; {layers_of(self.net)}")

    def response(self, x: Tensor) -> Tensor:
        return self._chosen(self.net(x))

    def _chosen(self, frames: Tensor) -> Tensor:
        return frames[:, [lead - 1 for lead in self.leads]]

    def target(self, x: Tensor, future: Tensor | None = None) -> Tensor:
        if future is None:
            raise ValueError(f"{self.name}: the true future frames are needed")
        return future

    def score(self, x: Tensor, target: Tensor) -> Tensor:
        return self.response(x).sum((2, 3, 4))

    def reward(self, x: Tensor, target: Tensor) -> Tensor:
        error = (self.response(x) - self._chosen(target)).square().mean((2, 3, 4))
        return -error.clamp(min=1e-12).log()

    def maps(self, raw: Tensor, x: Tensor) -> Tensor:
        if raw.ndim != 4 or len(raw) % len(x):
            raise ValueError(
                f"{self.name}: a layer needs maps (B·n, C, H, W) of B = {len(x)} sequences, not "
                f"{tuple(raw.shape)}: choose another layer"
            )
        return raw.unflatten(0, (len(x), -1))


def _tokens_to_maps(tokens: Tensor, x: Tensor) -> Tensor:
    """Arrange tokens (B, N, C) as maps (B, C, h, w) with the proportions of ``x``."""
    count, (height, width) = tokens.shape[1], x.shape[-2:]
    rows = round((count * height / width) ** 0.5)
    if rows * (count // max(rows, 1)) != count:
        raise ValueError(f"{count} tokens make no grid over {height}x{width} pixels")
    return tokens.transpose(1, 2).unflatten(2, (rows, -1))


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log p / (1 - p) of the labelled class: (..., classes) and (...) -> (...)."""
    picked = logits.gather(-1, labels[..., None])[..., 0]
    others = logits.scatter(-1, labels[..., None], float("-inf"))
    return picked - others.logsumexp(-1)


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

    The maps of several calls are concatenated. Takes a backward pass per output and clip ``x``
    (N, T, C, H, W) from ``subject.enter``.
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
