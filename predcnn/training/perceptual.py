"""DMVFN's perceptual term: a distance in the features of VGG19, read from a local file.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
https://arxiv.org/abs/1603.08155; layers and weights as in DMVFN's published training.
"""

from pathlib import Path

import torch
from timm.data import IMAGENET_DEFAULT_MEAN as MEAN
from timm.data import IMAGENET_DEFAULT_STD as STD
from torch import Tensor
from torchvision.models import vgg

from predcnn.weights.files import check_keys
from predcnn.weights.published import read_state

LAYERS = {1: 1 / 2.6, 6: 1 / 4.8, 11: 1 / 3.7, 20: 1 / 5.6, 29: 10 / 1.5}
"""Weights of the compared layers by index in torchvision's ``features``: the first ReLU of every
resolution."""

SMALLEST = 16
"""Smallest frame side for which the last of these layers has a pixel."""


class PerceptualDistance:
    """0.1 times the weighted mean absolute differences of VGG19 features.

    Called with predicted and true frames in [0, 1], (N, C, H, W) twice; grey frames count as three
    equal channels. Not a module: VGG's weights must not enter checkpoints.
    """

    def __init__(self, path: str | Path) -> None:
        what, state = read_state(path)
        with torch.device("meta"):
            network = vgg.make_layers(vgg.cfgs["E"])[: max(LAYERS) + 1]
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        given = {key: state[f"features.{key}"] for key in shapes if f"features.{key}" in state}
        check_keys(f"{what} is not torchvision's VGG19, features", given, shapes)
        network.load_state_dict(given, assign=True)
        self.network = network.eval().requires_grad_(False)

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        C, H, W = pred.shape[1:]
        if C not in (1, 3) or min(H, W) < SMALLEST:
            raise ValueError(
                f"the perceptual term takes grey or RGB frames of {SMALLEST} pixels or more, "
                f"not (C, H, W) = {(C, H, W)}"
            )
        # ImageNet's statistics; grey frames become three channels
        mean, std = (pred.new_tensor(v).view(3, 1, 1) for v in (MEAN, STD))
        x, y = ((frames - mean) / std for frames in (pred, target.detach()))
        distance = pred.new_zeros(())
        for i, layer in enumerate(self.network.to(pred.device)):
            x, y = layer(x), layer(y)
            if i in LAYERS:
                distance = distance + LAYERS[i] * (x - y).abs().mean()
        return 0.1 * distance
