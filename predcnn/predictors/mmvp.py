"""MMVP: the motion between frames as matrices of similarity, predicted and applied to the past.

Zhong et al., "MMVP: Motion-Matrix-Based Video Prediction", ICCV 2023,
https://arxiv.org/abs/2308.16154 (fig. 2 to 4, eq. 1 to 5). Tested against OpenSTL's code. A matrix
compares every pixel of a small feature map with every pixel of the next one. S is ``hid_S`` below.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.mmvp_frames import Doubling, Enhancer, FrameDecoder, FrameEncoder
from predcnn.predictors.protocol import OnePassPredictor
from predcnn.predictors.unrolling import note_unused
from predcnn.registry import PREDICTORS


def normed(dim_in: int, dim: int) -> list[nn.Module]:
    """Build a 3x3 convolution, BatchNorm and LeakyReLU."""
    return [nn.Conv2d(dim_in, dim, 3, padding=1), nn.BatchNorm2d(dim), nn.LeakyReLU()]


class TimeConv(nn.Module):
    """3x3x3 convolution, BatchNorm, LeakyReLU, (B, T, C, H, W) kept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv3d, self.bn3d = nn.Conv3d(dim, dim, 3, padding=1), nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.bn3d(self.conv3d(x.transpose(1, 2)))).transpose(1, 2)


class MatrixNetwork(nn.Module):
    """A U-shape over rows of matrices as images: (N, T, D, h, w) -> (N, frames_out, D, h, w)."""

    def __init__(self, dim: int, frames_in: int, frames_out: int) -> None:
        super().__init__()
        widths = {"_pre_1": (dim, dim, 1), "_pre_2": (dim, dim, 1), "1_1": (dim, dim, 2)}
        widths |= {"2_1": (dim, 2 * dim, 2), "3_1": (3 * dim, dim, 1), "4_1": (dim, dim, 1)}
        for name, (width, out, stride) in widths.items():
            self.add_module(f"conv{name}", nn.Conv2d(width, out, 3, stride, padding=1))
            self.add_module(f"bn{name}", nn.BatchNorm2d(out))
        self.conv3d_1 = TimeConv(dim)
        translate = nn.Conv2d(dim * frames_in, dim * frames_out, 1)
        self.conv_translate = nn.Sequential(translate, nn.LeakyReLU())
        self.bn_translate = nn.BatchNorm2d(dim * frames_out)
        self.frames_out, self.single = frames_out, frames_out == 1
        last = [nn.Conv2d(2 * dim, 2 * dim, 3, padding=1), nn.LeakyReLU()]
        self.temporal_layer = nn.Sequential(*last) if self.single else TimeConv(2 * dim)

    def _layer(self, name: str, x: Tensor) -> Tensor:
        conv, norm = getattr(self, f"conv{name}"), getattr(self, f"bn{name}")
        return functional.leaky_relu(norm(conv(x)))

    def forward(self, x: Tensor) -> Tensor:
        frames, size = x.shape[1], x.shape[-2:]
        x = self._layer("_pre_2", self._layer("_pre_1", x.flatten(0, 1)))
        x = self.conv3d_1(self._layer("1_1", x).unflatten(0, (-1, frames)))
        x = self.bn_translate(self.conv_translate(x.flatten(1, 2)))  # (N, frames_out D, h/2, w/2)
        wide = x.unflatten(1, (-1, self.conv_pre_1.out_channels)).flatten(0, 1)
        x = self._layer("2_1", wide)
        if self.single:
            x = self.temporal_layer(x)
        else:
            x = self.temporal_layer(x.unflatten(0, (-1, self.frames_out))).flatten(0, 1)
        x = torch.cat([functional.interpolate(x, wide.shape[-2:]), wide], dim=1)
        x = functional.interpolate(self._layer("3_1", x), size)
        return self._layer("4_1", x).unflatten(0, (-1, self.frames_out))


class MatrixPredictor(nn.Module):
    """Past motion matrices (B, T-1, n, n) -> future ones (B, frames_out, n, n), n = h * w."""

    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("fuse_conv",)

    def __init__(self, dim: int, frames_in: int, frames_out: int, compat: str | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, dim, 3, padding=1, bias=False)
        self.frames_out = frames_out
        self.predictor = MatrixNetwork(dim, frames_in - 1, frames_out)
        self.out_conv = nn.Conv2d(dim, 1, 3, padding=1, bias=False)
        fuse = {"bias": False, "padding": 1}
        note_unused(self, compat, lambda: {"fuse_conv": nn.Conv2d(2 * dim, dim, 3, **fuse)})

    def forward(self, matrices: Tensor, size: tuple[int, int]) -> Tensor:
        B, frames, n, _ = matrices.shape
        rows = matrices.transpose(1, 2).reshape(B * n * frames, 1, *size)
        x = self.predictor(self.conv1(rows).unflatten(0, (-1, frames)))
        return self.out_conv(x.flatten(0, 1)).view(-1, n, self.frames_out, n).transpose(1, 2)


def similarity(features: Tensor) -> Tensor:
    """Return cosines of all pixels of consecutive maps, (B, T, C, h, w) -> (B, T-1, n, n)."""
    flat = features.flatten(3)
    flat = flat / (flat.norm(dim=2, keepdim=True) + 1e-6)
    return flat[:, :-1].transpose(2, 3) @ flat[:, 1:]


def as_weights(matrices: Tensor) -> Tensor:
    """Apply a softmax over all entries of each matrix, (B, T, n, n) kept."""
    return matrices.flatten(2).softmax(2).view(matrices.shape)


def halved(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize matrices (B, T, n, n) of maps of ``size`` to (B, T, n/4, n/4) of half the size.

    The targets are resized bilinearly, then the sources bicubically, as in the reference code.
    """
    B, frames, n, _ = matrices.shape
    half = (size[0] // 2, size[1] // 2)
    x = matrices.reshape(B * frames, n, *size)
    x = functional.interpolate(x, half, mode="bilinear").flatten(2).transpose(1, 2)
    x = functional.interpolate(x.unflatten(2, size), half, mode="bicubic")
    return x.flatten(2).transpose(1, 2).unflatten(0, (-1, frames))


class MotionMatrices(nn.Module):
    """Maps at 1/8 and 1/16 of the frames' size -> (past, future) matrices of both.

    (B, T, 4S, h, w) and (B, T, 8S, h/2, w/2) -> (B, T-1, n, n) and (B, frames_out, n, n) for each
    size. The coarse future is the fine one, resized.
    """

    def __init__(self, dim: int, predictor: MatrixPredictor) -> None:
        super().__init__()
        self.filter = nn.ModuleList(
            nn.Sequential(*normed(4 * width, width), *normed(width, width), *normed(width, width))
            for width in (dim, 2 * dim)
        )
        self.predictor = predictor

    def forward(self, middle: Tensor, small: Tensor) -> list[tuple[Tensor, Tensor]]:
        size = tuple(middle.shape[-2:])
        past = []
        for maps, filtered in zip((middle, small), self.filter, strict=True):
            past.append(similarity(filtered(maps.flatten(0, 1)).unflatten(0, (-1, maps.shape[1]))))
        future = self.predictor(past[0], size)
        pairs = zip(past, (future, halved(future, size)), strict=True)
        return [(as_weights(before), as_weights(after)) for before, after in pairs]


class Composition(nn.Module):
    """The past moved to every future step: maps (B, T, C, h, w) -> (B, frames_out, C, h, w).

    The matrices between frame k and step t, multiplied, weigh the pixels of frame k in step t. The
    reference code multiplies the matrices; here the maps are multiplied by one after the other.
    """

    def forward(self, maps: Tensor, past: Tensor, future: Tensor) -> Tensor:
        ones = torch.ones_like(maps[:, :, :1])
        flat = torch.cat([maps, ones], dim=2).flatten(3)  # (B, T, C + 1, n)
        moved = flat[:, 0]
        for step in range(past.shape[1]):
            moved = moved @ past[:, step] + flat[:, step + 1]
        moved = moved[:, None] @ future
        return (moved[:, :, :-1] / (moved[:, :, -1:] + 1e-6)).unflatten(3, maps.shape[3:])

    def published_macs(self, counted: int, maps: tuple, past: tuple, future: tuple) -> int:
        """Count products of matrices for every step, then one product with the maps."""
        B, T, C, h, w = maps
        n = h * w
        return B * future[1] * (T - 1) * n**3 + B * future[1] * T * C * n**2


@PREDICTORS.register("mmvp")
class MMVP(OnePassPredictor):
    """MMVP, (B, T, C, H, W) -> (B, frames_out, C, H, W), unclipped, any H and W, T at least 2.

    The network sees the past only; the reference training also feeds it the future, which changes
    the statistics of its batch norms. For C > 1 the reference code reads its result, channels last
    in memory, as channels first. This is corrected here, except with compat "openstl".

    Args (others: see `Predictor`):
        hid_S: channels of encoder and decoder at half the size, even.
        hid_T: channels of the network that predicts matrices.
        rrdb_encoder_num, rrdb_decoder_num, rrdb_enhance_num: residual dense blocks of encoder,
            decoder and enhancer.
        downsample_setting: "2,2,2", as in published configurations.
        use_direct_predictor: True, likewise; the alternative predicts one frame only.
    """

    size_multiple = 16
    openstl_keys: ClassVar[dict[str, str]] = {
        "matrices.filter": "filter.filter_block",
        "matrices.predictor": "hid.predictor",
        "unused_fuser_1": "hid.scale_fuser_1",
        "unused_fuser_2": "hid.scale_fuser_2",
    }
    unused_openstl_keys: ClassVar[tuple[str, ...]] = ("hid.scale_fuser_1", "hid.scale_fuser_2")

    def __init__(
        self,
        in_shape: Sequence[int],
        frames_out: int | None = None,
        *,
        compat: str | None = None,
        hid_S: int = 32,
        hid_T: int = 192,
        rrdb_encoder_num: int = 2,
        rrdb_decoder_num: int = 2,
        rrdb_enhance_num: int = 2,
        downsample_setting: str = "2,2,2",
        use_direct_predictor: bool = True,
    ) -> None:
        super().__init__(in_shape, frames_out, compat=compat)
        T, C = self.in_shape[:2]
        if T < 2 or hid_S % 2:
            raise ValueError(f"MMVP needs two past frames and an even hid_S, not {T} and {hid_S}")
        if downsample_setting != "2,2,2" or not use_direct_predictor:
            raise ValueError("MMVP has only downsample_setting='2,2,2', use_direct_predictor=True")
        S = hid_S
        self.enc = FrameEncoder(4 * C, S, rrdb_encoder_num)
        self.matrices = MotionMatrices(S, MatrixPredictor(hid_T, T, self.frames_out, compat))
        self.compose = Composition()
        self.dec = FrameDecoder(4 * C, S, rrdb_decoder_num)
        self.enhance = Enhancer(C, S, rrdb_enhance_num)
        note_unused(
            self,
            compat,
            lambda: {
                "unused_fuser_1": Doubling(2 * S),
                "unused_fuser_2": nn.Sequential(*normed(S, S), *normed(S, S)),
            },
        )

    def one_pass(self, frames: Tensor) -> Tensor:
        T = frames.shape[1]
        features = self.enc(functional.pixel_unshuffle(frames, 2).flatten(0, 1))
        wide, middle, small = (x.unflatten(0, (-1, T)) for x in features)
        high, low = self.matrices(middle, small)
        moved = self.compose(functional.pixel_unshuffle(wide, 2), *high)
        maps = [functional.pixel_shuffle(moved, 2), self.compose(middle, *high)]
        maps.append(self.compose(small, *low))
        decoded = functional.pixel_shuffle(self.dec([x.flatten(0, 1) for x in maps]), 2)
        composed = self.compose(functional.pixel_unshuffle(frames, 8), *high).flatten(0, 1)
        future = self.enhance(torch.cat([decoded, functional.pixel_shuffle(composed, 8)], dim=1))
        if self.compat == "openstl":
            future = future.permute(0, 2, 3, 1).reshape(future.shape)
        return future.unflatten(0, (-1, self.frames_out))
