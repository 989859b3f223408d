"""LPIPS: a distance in the features of AlexNet; nothing is downloaded.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
https://arxiv.org/abs/1801.03924. The linear heads come with the ``lpips`` package.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.metrics.streaming import METRICS, FrameMetric, widened
from predcnn.weights.files import check_keys
from predcnn.weights.published import read_state

CACHED_NAME = "alexnet-owt-7be5be79.pth"  # torchvision's file of its ImageNet AlexNet
MIN_SIZE = 31  # pixels: AlexNet's last feature map still has one
_LAYERS = (0, 3, 6, 8, 10)
_FRAMES_AT_ONCE = 256


def find_backbone(backbone_weights: str | Path | None) -> Path:
    """Return the given file of AlexNet's features, else the one that torchvision has cached."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / CACHED_NAME
    path = cached if backbone_weights is None else Path(backbone_weights)
    if path.is_file():
        return path
    missing = "no backbone_weights were given" if backbone_weights is None else f"no file {path}"
    raise FileNotFoundError(
        f"LPIPS needs torchvision's ImageNet AlexNet and {missing}: pass backbone_weights=<file> "
        f"(.pth or .safetensors), or put https://download.pytorch.org/models/{CACHED_NAME} (233 "
        f"MB) at {cached}; nothing is downloaded"
    )


def build_network(path: Path) -> nn.Module:
    """Build the LPIPS network (AlexNet, version 0.1) in eval mode."""
    import lpips

    with warnings.catch_warnings():
        # lpips 0.1.4 still calls torchvision with its deprecated `pretrained=` argument.
        warnings.filterwarnings("ignore", message=".*'(pretrained|weights)'.*")
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    what, weights = read_state(path)
    names = {  # lpips divides AlexNet into one slice per convolution and keeps its numbers
        f"features.{n}.{part}": f"slice{i}.{n}.{part}"
        for i, n in enumerate(_LAYERS, start=1)
        for part in ("weight", "bias")
    }
    own = network.net.state_dict()
    given = {key: weights[key] for key in names if key in weights}
    shapes = {key: own[name].shape for key, name in names.items()}
    check_keys(f"{what} is not torchvision's AlexNet", given, shapes)
    network.net.load_state_dict({names[key]: value for key, value in given.items()})
    return network.eval().requires_grad_(False)


def perceptual_distance(network: nn.Module, pred: Tensor, target: Tensor) -> Tensor:
    """Return the LPIPS of frames in [0, 1], (B, T, C, H, W) twice -> (B, T); C is 1 or 3."""
    batch, time, channels, height, width = pred.shape
    if channels not in (1, 3):
        raise ValueError(f"LPIPS takes grey or RGB frames, C = 1 or 3, not {channels}")
    if min(height, width) < MIN_SIZE:
        raise ValueError(
            f"LPIPS needs frames of at least {MIN_SIZE}x{MIN_SIZE} pixels, not {height}x{width}"
        )
    dtype = next(network.parameters()).dtype
    pairs = zip(
        pred.flatten(0, 1).to(dtype).split(_FRAMES_AT_ONCE),
        target.flatten(0, 1).to(dtype).split(_FRAMES_AT_ONCE),
        strict=True,
    )
    distances = [
        network(2 * a.expand(-1, 3, -1, -1) - 1, 2 * b.expand(-1, 3, -1, -1) - 1).flatten()
        for a, b in pairs
    ]
    return widened(torch.cat(distances)).view(batch, time)


@METRICS.register("lpips")
class LPIPS(FrameMetric):
    """LPIPS (AlexNet, v0.1) per frame of predictions clipped to [0, 1].

    Args:
        per_frame: return the curve over lead times instead of its mean.
        backbone_weights: AlexNet features, .safetensors or torchvision .pth; None takes the file
            torchvision has cached. It is read at the first update.
    """

    definition = (
        "mean over sequences and lead times of the LPIPS distance of a frame (AlexNet, v0.1), "
        "prediction clipped to [0, 1], grey frames repeated to three channels"
    )
    state_key = "lpips"

    def __init__(
        self, *, per_frame: bool = False, backbone_weights: str | Path | None = None
    ) -> None:
        super().__init__(per_frame=per_frame)
        self._path = find_backbone(backbone_weights)
        # In a list: AlexNet must not enter the state dict of whoever holds the metric.
        self._network: list[nn.Module] = []

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        if not self._network:
            self._network.append(build_network(self._path))
        network = self._network[0].to(pred.device)
        with torch.autocast(pred.device.type, enabled=False):
            return perceptual_distance(network, pred.clamp(0, 1), target)
