"""Top-down pose: one heat map per joint of one person, from a backbone's last map.

Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018,
https://arxiv.org/abs/1804.06208 (section 2). Joints are (x, y) in pixels of the input image.
"""

import torch
from torch import Tensor, nn

from predcnn.backbones.features import FeatureMaps, check_features

WIDTH = 256


class TopDownPose(nn.Module):
    """Images (B, 3, H, W) -> heat maps (B, joints, 8 H / stride, 8 W / stride).

    Three deconvolutions of 256 channels double the last map's size, a 1x1 convolution reads the
    joints. With a backbone of stride 32, 256x192 images give 64x48 maps.

    Attributes:
        stride: pixels of the image per cell of a heat map.

    Args:
        features: ``create_backbone(name, features_only=True)``; its last map is used.
    """

    def __init__(self, features: FeatureMaps, joints: int = 17) -> None:
        super().__init__()
        check_features("a pose head", features)
        last = features.feature_info.reduction()[-1]
        if last % 8:
            raise ValueError(
                f"the head enlarges eightfold: a last map of stride {last} is too fine"
            )
        self.features = features
        self.stride = last // 8
        layers, width = [], features.feature_info.channels()[-1]
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(width, WIDTH, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(WIDTH),
                nn.ReLU(),
            ]
            width = WIDTH
        self.head = nn.Sequential(*layers, nn.Conv2d(WIDTH, joints, 1))
        for module in self.head:
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)
        nn.init.zeros_(self.head[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1])

    def loss(
        self, heat_maps: Tensor, joints: Tensor, visible: Tensor, sigma: float = 2.0
    ) -> Tensor:
        """Mean squared error to the heat maps of the joints; joints that are not visible count 0.

        Args:
            heat_maps: of ``forward``, (B, J, h, w).
            joints: (x, y) in pixels, (B, J, 2).
            visible: (B, J), bool.
            sigma: see `draw_heat_maps`.
        """
        target = draw_heat_maps(joints, heat_maps.shape[-2:], self.stride, sigma)
        error = (heat_maps - target).square().mean((2, 3))
        return (error * visible).sum() / visible.sum().clamp(min=1)

    @torch.no_grad()
    def decode(self, heat_maps: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, J, 2) in pixels and their scores (B, J): the highest cell of each map.

        A quarter of a cell is added towards the higher neighbour, along x and along y.
        """
        width = heat_maps.shape[-1]
        scores, cell = heat_maps.flatten(2).max(2)
        x, y = cell % width, cell // width
        shift_x = _towards(heat_maps, y, x, (0, 1))
        shift_y = _towards(heat_maps, y, x, (1, 0))
        return torch.stack([x + shift_x, y + shift_y], 2) * self.stride, scores


def draw_heat_maps(
    joints: Tensor, size: tuple[int, int], stride: int, sigma: float = 2.0
) -> Tensor:
    """Joints (B, J, 2) in pixels -> Gaussians (B, J, h, w) of height 1 around them.

    Args:
        joints: (x, y).
        size: (h, w) of the maps.
        stride: pixels per cell.
        sigma: standard deviation in cells.
    """
    centre = joints / stride
    rows = torch.arange(size[0], device=joints.device)
    columns = torch.arange(size[1], device=joints.device)
    along_y = torch.exp(-((rows - centre[..., 1:]) ** 2) / (2 * sigma**2))
    along_x = torch.exp(-((columns - centre[..., :1]) ** 2) / (2 * sigma**2))
    return along_y[..., :, None] * along_x[..., None, :]


def _towards(maps: Tensor, y: Tensor, x: Tensor, step: tuple[int, int]) -> Tensor:
    """0.25 or -0.25, wherever the neighbour is higher; 0 at the border."""
    height, width = maps.shape[-2:]
    padded = nn.functional.pad(maps, (1, 1, 1, 1))
    index = (y + 1) * (width + 2) + (x + 1)
    by = step[0] * (width + 2) + step[1]
    flat = padded.flatten(2)
    after = flat.gather(2, (index + by)[..., None])[..., 0]
    before = flat.gather(2, (index - by)[..., None])[..., 0]
    at, last = (y, height - 1) if step[0] else (x, width - 1)
    inside = (at > 0) & (at < last)
    return 0.25 * torch.sign(after - before) * inside
