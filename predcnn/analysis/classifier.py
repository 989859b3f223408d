"""Image networks as subjects: the output is the class, the explained maps the last stage's."""

from collections.abc import Sequence

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from predcnn.analysis.interactions import log_odds
from predcnn.analysis.subject import recorded


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


def _tokens_to_maps(tokens: Tensor, x: Tensor) -> Tensor:
    """Arrange tokens (B, N, C) as maps (B, C, h, w) with the proportions of ``x``."""
    count, (height, width) = tokens.shape[1], x.shape[-2:]
    rows = round((count * height / width) ** 0.5)
    if rows * (count // max(rows, 1)) != count:
        raise ValueError(f"{count} tokens make no grid over {height}x{width} pixels")
    return tokens.transpose(1, 2).unflatten(2, (rows, -1))
