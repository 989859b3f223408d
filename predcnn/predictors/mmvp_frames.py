"""MMVP's networks of single frames: encoder, decoder, and the one that finishes a frame.

Zhong et al., "MMVP: Motion-Matrix-Based Video Prediction", ICCV 2023, fig. 2; the dense blocks are
those of Wang et al., "ESRGAN", 2018, https://arxiv.org/abs/1809.00219. S is ``dim`` below.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class DenseBlock(nn.Module):
    """Three convolutions, each on all earlier maps, and a fourth back to C: (B, C, H, W) kept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        grow = dim // 2
        for i in range(3):
            self.add_module(f"conv{i + 1}", nn.Conv2d(dim + i * grow, grow, 3, padding=1))
        self.conv4 = nn.Conv2d(dim + 3 * grow, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        maps = x
        for conv in (self.conv1, self.conv2, self.conv3):
            maps = torch.cat([maps, functional.leaky_relu(conv(maps), 0.2)], dim=1)
        return x + 0.2 * self.conv4(maps)


class RRDB(nn.Module):
    """Residual in residual: three `DenseBlock`s inside a shortcut, (B, C, H, W) kept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = (DenseBlock(dim) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.RDB3(self.RDB2(self.RDB1(x)))


def rrdbs(dim: int, count: int) -> nn.Sequential:
    """Build ``count`` blocks in a row."""
    return nn.Sequential(*(RRDB(dim) for _ in range(count)))


class Halving(nn.Module):
    """Residual block of stride 2: (B, C, H, W) -> (B, 2C, H/2, W/2)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, 2 * dim, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1)
        self.shortcut = nn.Conv2d(dim, 2 * dim, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return functional.leaky_relu(y + self.shortcut(x))


class Doubling(nn.Module):
    """(B, C, H, W), and with ``skip`` an earlier map (B, C/2, 2H, 2W) -> (B, C/2, 2H, 2W)."""

    openstl_keys: ClassVar[dict[str, str]] = {"conv": "conv.conv.0"}

    def __init__(self, dim: int, skip: bool = True) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(dim, dim // 2, 2, stride=2)
        width = dim if skip else dim // 2
        self.conv = nn.Conv2d(width, dim // 2, 3, padding=1, bias=False)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.up(x)
        return torch.relu(self.conv(x if skip is None else torch.cat([skip, x], dim=1)))


class FrameEncoder(nn.Module):
    """Frames (N, 4C, h, w) -> features (N, 2S, h/2, w/2), (N, 4S, h/4, w/4), (N, 8S, h/8, w/8)."""

    openstl_keys: ClassVar[dict[str, str]] = {
        "downs.0": "pre_downsample_block.0",
        "downs.1": "downsample_high",
        "downs.2": "downsample_low",
    }

    def __init__(self, channels: int, dim: int, blocks: int) -> None:
        super().__init__()
        self.inconv = nn.Conv2d(channels, dim, 3, padding=1)
        self.block_rrdb = rrdbs(dim, blocks)
        self.downs = nn.ModuleList(Halving(dim * 2**i) for i in range(3))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.block_rrdb(self.inconv(x))
        features = []
        for down in self.downs:
            x = down(x)
            features.append(x)
        return features


class FrameDecoder(nn.Module):
    """Features of `FrameEncoder` -> frames (N, 4C, h, w)."""

    openstl_keys: ClassVar[dict[str, str]] = {
        "ups.0": "upsample_block_low2high",
        "ups.1": "upsample_block.0",
        "ups.2": "upsample_block.1",
    }

    def __init__(self, channels: int, dim: int, blocks: int) -> None:
        super().__init__()
        self.ups = nn.ModuleList(
            [Doubling(8 * dim), Doubling(4 * dim), Doubling(2 * dim, skip=False)]
        )
        self.rrdb_block = rrdbs(dim, blocks)
        self.outc = nn.Conv2d(dim, channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        wide, middle, x = features
        return self.outc(self.rrdb_block(self.ups[2](self.ups[1](self.ups[0](x, middle), wide))))


class Enhancer(nn.Module):
    """A decoded and a composed frame (N, 2C, H, W) -> the final frame (N, C, H, W)."""

    def __init__(self, channels: int, dim: int, blocks: int) -> None:
        super().__init__()
        first = nn.Conv2d(2 * channels, dim, 3, padding=1)
        self.model = nn.Sequential(first, *rrdbs(dim, blocks))
        self.outconv = nn.Conv2d(dim, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.outconv(self.model(x))
