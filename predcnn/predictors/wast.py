"""WaST: a 3-D Haar transform as down- and upsampling, large-kernel blocks over all frames between.

Nie et al., "Wavelet-Driven Spatiotemporal Predictive Learning: Bridging Frequency and Time
Variations", AAAI 2024 (fig. 2 to 4). Tested against the reference code.
"""

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.ops import ConvBN, DepthwiseConv2d, DropPath, LayerScale, PointwiseConv2d
from predcnn.predictors.levels import rising
from predcnn.predictors.protocol import OnePassPredictor
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS

AXES = (2, 3, 4)
"""Time, height and width, the order of the letters in a band's name (L low, H high)."""


class HaarTransform(nn.Module):
    """3-D Haar wavelets, (B, C, T, H, W) -> (B, C, 8, T/2, H/2, W/2): LLL, LLH, LHL, ... HHH."""

    def forward(self, x: Tensor) -> Tensor:
        bands = [x]
        for axis in AXES:
            pairs = [band.unflatten(axis, (-1, 2)).unbind(axis + 1) for band in bands]
            bands = [half for a, b in pairs for half in ((a + b) / sqrt(2), (a - b) / sqrt(2))]
        return torch.stack(bands, dim=2)

    def published_macs(self, counted: int, x: tuple[int, ...]) -> int:
        """Count a (transposed) depthwise convolution by eight kernels of 2x2x2."""
        return 8 * torch.Size(x).numel()


class InverseHaarTransform(HaarTransform):
    """The inverse of `HaarTransform`: (B, C, 8, T/2, H/2, W/2) -> (B, C, T, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        bands = list(x.unbind(2))
        for axis in reversed(AXES):
            pairs = zip(bands[::2], bands[1::2], strict=True)
            bands = [
                torch.stack([low + high, low - high], axis + 1).flatten(axis, axis + 1) / sqrt(2)
                for low, high in pairs
            ]
        return bands[0]


class FrequencyAttention(nn.Module):
    """Coordinate attention: factors per row and column, (B, D, H, W) -> (B, D, H, W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = max(8, dim // 4)
        self.rows, self.columns = nn.AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((1, None))
        self.conv1 = PointwiseConv2d(dim, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.act = nn.Hardswish()
        self.conv_h = PointwiseConv2d(inner, dim)
        self.conv_w = PointwiseConv2d(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        means = torch.cat([self.rows(x), self.columns(x).transpose(2, 3)], dim=2)  # (B, D, H+W, 1)
        rows, columns = self.act(self.bn1(self.conv1(means))).split([height, width], dim=2)
        columns = torch.sigmoid(self.conv_w(columns.transpose(2, 3)))
        return x * columns * torch.sigmoid(self.conv_h(rows))


class SqueezeExcite(nn.Module):
    """A factor per channel from the mean of the map, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, inner, 1)
        self.conv_expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.conv_expand(torch.relu(self.conv_reduce(mean))))


class TemporalMixer(nn.Module):
    """MobileNet's inverted residual without the shortcut, (B, D, H, W) -> (B, D, H, W)."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        wide = max(8, int(dim * ratio + 4) // 8 * 8)  # the nearest multiple of 8
        if wide < 0.9 * dim * ratio:
            wide += 8
        self.conv_pw, self.bn1 = PointwiseConv2d(dim, wide, bias=False), nn.BatchNorm2d(wide)
        self.conv_dw, self.bn2 = DepthwiseConv2d(wide, 7, bias=False), nn.BatchNorm2d(wide)
        self.se = SqueezeExcite(wide, round(wide / 4))
        self.conv_pwl, self.bn3 = PointwiseConv2d(wide, dim, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv_pw(x)))
        return self.bn3(self.conv_pwl(self.se(torch.relu(self.bn2(self.conv_dw(x))))))


class DepthwiseBN(ConvBN):
    """Depthwise convolution and BatchNorm."""

    openstl_keys: ClassVar[dict[str, str]] = {"conv": "0", "bn": "1"}

    def __init__(self, dim: int, kernel_size: int | tuple[int, int]) -> None:
        super().__init__(DepthwiseConv2d(dim, kernel_size))
        self.conv.uncounted_by_fvcore = True  # the published one has padding="same"


class TimeFrequencyBlock(nn.Module):
    """Low and high frequencies by large and small kernels, then the mixer, (B, D, H, W) kept.

    D is frames times channels. Kernels (large, 5) and (5, large) are for the low frequencies. Both
    branches share one layer scale, as in the reference code, whose second scale is unused.
    """

    openstl_keys: ClassVar[dict[str, str]] = {
        "scale.gamma": "layer_scale_1",
        "unused_scale.gamma": "layer_scale_2",
        "low": "low_frequency_attn",
        "high": "high_frequency_attn",
        "mixer": "temporal_mixer",
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("layer_scale_2",)

    def __init__(
        self, dim: int, large: int, ratio: float, drop_path: float, compat: str | None
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(dim), nn.BatchNorm2d(dim)
        self.lk1, self.lk2 = DepthwiseBN(dim, (large, 5)), DepthwiseBN(dim, (5, large))
        self.sk = DepthwiseBN(dim, 5)
        self.low, self.high = FrequencyAttention(dim), FrequencyAttention(dim)
        self.mixer = TemporalMixer(dim, ratio)
        self.scale = LayerScale(dim, 1e-2)
        note_unused(self, compat, lambda: {"unused_scale": LayerScale(dim, 1e-2)})
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y = self.low(self.lk1(y) + self.lk2(y)) + self.high(self.sk(y))
        x = x + self.drop_path(self.scale(y))
        return x + self.drop_path(self.scale(self.mixer(self.norm2(x))))


class Translator(nn.Module):
    """Blocks over all frames, joined along the channels: (B, C, T, H, W) -> (B, C, T, H, W).

    With ``skips`` (C T) a convolution first merges the input with an earlier map of its shape.
    """

    def __init__(self, blocks: Sequence[TimeFrequencyBlock], skips: int = 0) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        if skips:
            self.concat_block = nn.Conv2d(2 * skips, skips, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        flat = x.flatten(1, 2)  # (B, C T, H, W)
        if skip is not None:
            flat = self.concat_block(torch.cat([flat, skip.flatten(1, 2)], dim=1))
        return self.blocks(flat).unflatten(1, x.shape[1:3])


def conv3d(dim_in: int, dim_out: int, groups: int = 1) -> nn.Sequential:
    """Build a 3x3x3 convolution, BatchNorm and GELU."""
    conv = nn.Conv3d(dim_in, dim_out, 3, padding=1, groups=groups)
    return nn.Sequential(conv, nn.BatchNorm3d(dim_out), nn.GELU())


class WaveletEmbed(nn.Module):
    """Halve the size, keep T: (B, E, T, H, W) -> (B, 2E, T, H/2, W/2) and its skip.

    Low and high bands of the width follow each other in time: the reference code takes the last
    letter of a band for time. The skip is the other six bands, (B, 6E, T/2, H/2, W/2).
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.transform = HaarTransform()
        self.conv_0, self.conv_1 = conv3d(dim, dim), conv3d(dim, 2 * dim)
        self.conv_emb = nn.Conv3d(4 * channels, 2 * dim, 3, padding=1)

    def forward(self, x: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        raw = self.transform(clip).transpose(1, 2)  # (B, 8, C, T/2, H/2, W/2)
        raw = torch.cat([raw[:, ::2].flatten(1, 2), raw[:, 1::2].flatten(1, 2)], dim=2)
        bands = self.transform(self.conv_0(x)).transpose(1, 2)
        main = self.conv_1(torch.cat([bands[:, 0], bands[:, 1]], dim=2))
        return main + self.conv_emb(raw), bands[:, 2:].flatten(1, 2)


class WaveletRecon(nn.Module):
    """The inverse: (B, 2E, T, H/2, W/2) and the skip of `WaveletEmbed` -> (B, E, T, H, W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv_0, self.conv_hi = conv3d(2 * dim, dim), conv3d(6 * dim, 6 * dim, groups=6)
        self.transform = InverseHaarTransform()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        low = self.conv_0(x).unflatten(2, (2, -1)).transpose(1, 2)  # (B, 2, E, T/2, H/2, W/2)
        high = self.conv_hi(skip).unflatten(1, (6, -1))
        return self.transform(torch.cat([low, high], dim=1).transpose(1, 2))


@PREDICTORS.register("wast")
class WaST(OnePassPredictor):
    """WaST of one wavelet level, (B, T, C, H, W) -> (B, frames_out, C, H, W), unclipped, T even.

    A pass gives T frames. ``objective=wast`` adds its loss of high frequencies and its schedule of
    stochastic depth.

    Args (others: see `Predictor`):
        encoder_dim: channels E of a frame.
        block_list: numbers of blocks before, inside and after the wavelet level.
        mlp_ratio: hidden channels of the mixers, in units of their width.
        drop_path_rate: probability of skipping a branch in the last block; rises linearly from 0.
    """

    size_multiple = 2
    unused_openstl_keys: ClassVar[tuple[str, ...]] = (
        "wavelet_embed1.DWT.filters",
        "wavelet_recon1.IDWT.filters",
    )

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        encoder_dim: int = 20,
        block_list: Sequence[int] = (2, 8, 2),
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        T, C, E = self.in_shape[0], self.in_shape[1], encoder_dim
        if T % 2:
            raise ValueError(f"WaST halves the frames: in_shape starts with an even T, not {T}")
        if len(block_list) != 3 or min(block_list) < 1:
            raise ValueError(f"block_list is three positive numbers, not {tuple(block_list)}")
        first, inner, last = rising(drop_path_rate, block_list)

        def blocks(rates: Sequence[float], dim: int, large: int) -> list[TimeFrequencyBlock]:
            return [TimeFrequencyBlock(dim * T, large, mlp_ratio, p, compat) for p in rates]

        self.conv_in = conv3d(C, E)
        self.translator1 = Translator(blocks(first, E, 51))
        self.wavelet_embed1 = WaveletEmbed(C, E)
        self.bottleneck_translator = Translator(blocks(inner, 2 * E, 21))
        self.wavelet_recon1 = WaveletRecon(E)
        self.translator2 = Translator(blocks(last, E, 51), skips=E * T)
        self.conv_out = nn.Sequential(nn.BatchNorm3d(E), nn.GELU(), nn.Conv3d(E, C, 3, padding=1))

    def one_pass(self, frames: Tensor) -> Tensor:
        clip = frames.transpose(1, 2)  # (B, C, T, H, W)
        early = self.translator1(self.conv_in(clip))
        x, skip = self.wavelet_embed1(early, clip)
        x = self.wavelet_recon1(self.bottleneck_translator(x), skip)
        return self.conv_out(self.translator2(x, early)).transpose(1, 2)
