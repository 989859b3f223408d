"""Top-down pose: one heat map per joint of one person, from a backbone's last map.

Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018,
https://arxiv.org/abs/1804.06208 (section 2). Joints are (x, y) in pixels of the input image.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.backbones.features import FeatureMaps, check_features

WIDTH = 256


class TopDownPose(nn.Module):
    """Images (B, 3, H, W) -> heat maps (B, joints, 8 H / stride, 8 W / stride).

    Three deconvolutions of 256 channels double the size of the last map, a 1x1 convolution predicts
    the joints. With a backbone of stride 32, 256x192 images give 64x48 maps.

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
            raise ValueError(f"the last map must have a stride divisible by 8, not {last}")
        self.features = features
        self.stride = last // 8
        widths = [features.feature_info.channels()[-1], WIDTH, WIDTH]
        layers = []
        for width in widths:
            deconv = nn.ConvTranspose2d(width, WIDTH, 4, stride=2, padding=1, bias=False)
            layers += [deconv, nn.BatchNorm2d(WIDTH), nn.ReLU()]
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
        """Compute the mean squared error to the heat maps of the visible joints.

        Args:
            heat_maps: output of ``forward``, (B, J, h, w).
            joints: (x, y) in pixels, (B, J, 2).
            visible: (B, J), bool.
            sigma: see `draw_heat_maps`.
        """
        target = draw_heat_maps(joints, heat_maps.shape[-2:], self.stride, sigma)
        error = (heat_maps - target).square().mean((2, 3))
        return (error * visible).sum() / visible.sum().clamp(min=1)

    @torch.no_grad()
    def decode(self, heat_maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (B, J, 2) in pixels, 1/4 cell towards higher neighbours; scores (B, J)."""
        scores, cell = heat_maps.flatten(2).max(2)
        width = heat_maps.shape[-1]
        joints = torch.stack([cell % width, cell // width], 2)
        # differences of the two neighbours of every cell; 0 at the border
        along_x = functional.pad(heat_maps[..., 2:] - heat_maps[..., :-2], (1, 1))
        along_y = functional.pad(heat_maps[..., 2:, :] - heat_maps[..., :-2, :], (0, 0, 1, 1))
        slopes = torch.stack([along_x, along_y], 2).flatten(3)  # (B, J, 2, h w)
        slope = slopes.take_along_dim(cell[..., None, None], 3)[..., 0]
        return (joints + 0.25 * slope.sign()) * self.stride, scores


def draw_heat_maps(
    joints: Tensor, size: tuple[int, int], stride: int, sigma: float = 2.0
) -> Tensor:
    """Draw a Gaussian of height 1 around each joint: (B, J, 2) in pixels -> (B, J, h, w).

    Args:
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
