"""Image networks as subjects: the class decides, the last stage's maps are looked at."""

from collections.abc import Sequence

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from predcnn.analysis.interactions import log_odds
from predcnn.analysis.subject import recorded


class ClassifierSubject:
    """A backbone of ours or of timm, images (B, C, H, W) -> logits, as a `Subject` of one output.

    Receptive fields are measured on the last stage's map behind a ReLU, with positive gradients
    only, as RepLKNet's authors do. The target is the network's own decision; for images that it
    classifies correctly this is the true class.

    Args:
        net: has ``feature_info`` as timm defines it.
        mean: of the images the network was trained on, per channel.
        layer: dotted name of the module whose maps are looked at; None: the last stage, of a vision
            transformer with a class token the first norm of its last block (behind it the
            gradients of all other tokens are zero).
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
        self.last_stage = layer or net.feature_info[-1]["module"]
        self.seen_layer = layer or _before_the_class_token(net, self.last_stage)
        self.channel_layer = self.seen_layer

    def enter(self, clips: Tensor) -> Tensor:
        shift, scale = (clips.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (clips - shift) / scale

    def logits(self, x: Tensor) -> Tensor:
        """(B, 1, C, H, W) -> (B, classes)."""
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
            raw = _tokens_to_maps(raw[:, getattr(self.net, "num_prefix_tokens", 0) :], x)
        elif raw.ndim == 4 and getattr(self.net, "output_fmt", "NCHW") == "NHWC":
            raw = raw.permute(0, 3, 1, 2)
        if raw.ndim != 4 or len(raw) != len(x):
            raise ValueError(
                f"{self.name}: looked at are maps (B, C, H, W) or tokens (B, N, C) of "
                f"{len(x)} images, not {tuple(raw.shape)}: choose another layer"
            )
        return raw[:, None]


def _before_the_class_token(net: nn.Module, last_stage: str) -> str:
    has_token = getattr(net, "num_prefix_tokens", 0) > 0
    if has_token and hasattr(net.get_submodule(last_stage), "norm1"):
        return f"{last_stage}.norm1"
    return last_stage


def _tokens_to_maps(tokens: Tensor, x: Tensor) -> Tensor:
    """(B, N, C) -> (B, C, h, w) with the proportions of ``x``."""
    count, (height, width) = tokens.shape[1], x.shape[-2:]
    rows = round((count * height / width) ** 0.5)
    if rows * (count // max(rows, 1)) != count:
        raise ValueError(f"{count} tokens make no grid over {height}x{width} pixels")
    return tokens.transpose(1, 2).unflatten(2, (rows, -1))
