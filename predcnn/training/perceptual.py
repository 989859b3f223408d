"""DMVFN's perceptual term: a distance in the features of VGG19, which are never downloaded here.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
https://arxiv.org/abs/1603.08155; layers and weights as in DMVFN's published training.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import vgg

from predcnn.weights.published import read_state

LAYERS = {1: 1 / 2.6, 6: 1 / 4.8, 11: 1 / 3.7, 20: 1 / 5.6, 29: 10 / 1.5}
"""Weight of each compared layer, by its index in torchvision's ``features``: the first ReLU of
every resolution."""

SMALLEST = 16
"""Smallest frame side for which the last of these layers has a pixel."""


def read_features(path: str | Path) -> dict[str, Tensor]:
    """The tensors of VGG19's ``features`` up to the last compared layer, without that prefix."""
    what, state = read_state(path)
    wanted = {f"features.{key}": value.shape for key, value in _features().state_dict().items()}
    given = {key: getattr(state.get(key), "shape", None) for key in wanted}
    bad = [key for key, shape in wanted.items() if given[key] != shape]
    if bad:
        raise ValueError(f"{what} is not torchvision's VGG19, missing or of another shape: {bad}")
    return {key.removeprefix("features."): state[key] for key in wanted}


class PerceptualDistance:
    """Weighted mean absolute differences of VGG19 features, times 0.1, as published.

    Called with predicted and true frames in [0, 1], (N, C, H, W) twice; grey frames count as three
    equal channels. No module, since VGG's weights must not enter checkpoints.
    """

    def __init__(self, path: str | Path) -> None:
        self.network = _features()
        self.network.load_state_dict(read_features(path), assign=True)
        self.network.eval().requires_grad_(False)

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        C, H, W = pred.shape[1:]
        if C not in (1, 3) or min(H, W) < SMALLEST:
            raise ValueError(
                f"the perceptual term takes grey or RGB frames of {SMALLEST} pixels or more, "
                f"not (C, H, W) = {(C, H, W)}"
            )
        x, y = _normalised(pred), _normalised(target.detach())
        distance = pred.new_zeros(())
        for i, layer in enumerate(self.network.to(pred.device)):
            x, y = layer(x), layer(y)
            if i in LAYERS:
                distance = distance + LAYERS[i] * (x - y).abs().mean()
        return 0.1 * distance


def _features() -> nn.Sequential:
    with torch.device("meta"):
        return vgg.make_layers(vgg.cfgs["E"])[: max(LAYERS) + 1]


def _normalised(frames: Tensor) -> Tensor:
    """With the mean and deviation of ImageNet's channels, as three channels."""
    mean = frames.new_tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = frames.new_tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (frames - mean) / deviation
