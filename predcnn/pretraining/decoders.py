"""Decoders of the published methods, from maps back to pixels.

SimMIM's and A2MIM's head: Xie et al., CVPR 2022, https://arxiv.org/abs/2111.09886; FCMAE's block
decoder: Woo et al., CVPR 2023, https://arxiv.org/abs/2301.00808; SparK's hierarchical one: Tian et
al., ICLR 2023, https://arxiv.org/abs/2301.03580.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from predcnn.blocks.convnextv2 import ConvNeXtV2Block
from predcnn.ops.init import init_trunc_normal
from predcnn.pretraining.masks import at_size


class PixelHead(nn.Sequential):
    """A linear map from a vector to stride x stride pixels, (B, C, h, w) -> (B, out, h s, w s)."""

    def __init__(self, dim: int, stride: int, out: int = 3) -> None:
        super().__init__(nn.Conv2d(dim, out * stride**2, 1), nn.PixelShuffle(stride))


class MaskToken(nn.Module):
    """A learned vector in the place of every hidden pixel of a map, (B, C, H, W) kept.

    Args:
        keep: initial value of a learned factor per channel with which the hidden values are added
            to the token (A2MIM, section 4.1); None replaces them.
    """

    def __init__(self, dim: int, keep: float | None = None) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, dim, 1, 1))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.gamma = None if keep is None else nn.Parameter(torch.full((1, dim, 1, 1), keep))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``mask`` is (B, h, w), True where a cell is hidden."""
        token = self.token.to(x.dtype)
        if self.gamma is not None:
            token = token + self.gamma.to(x.dtype) * x
        return torch.where(at_size(mask, x.shape[2:]), token, x)


class BlockDecoder(nn.Module):
    """FCMAE's: (B, C, h, w) and mask (B, h, w) -> (B, out, h s, w s), by dense ConvNeXt V2 blocks.

    Args:
        dim: channels C of the encoder's last map, whose pixels are the cells of the mask.
        stride: s, of that map.
    """

    def __init__(
        self, dim: int, stride: int, *, width: int = 512, depth: int = 1, out: int = 3
    ) -> None:
        super().__init__()
        self.project = nn.Conv2d(dim, width, 1)
        self.mask_token = MaskToken(width)
        self.blocks = nn.Sequential(*(ConvNeXtV2Block(width) for _ in range(depth)))
        self.head = PixelHead(width, stride, out)
        init_trunc_normal(self)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.blocks(self.mask_token(self.project(x), mask)))


class Densify(nn.Module):
    """SparK's bridge from a sparse, normed map to the decoder, (B, C, H, W) -> (B, width, H, W).

    Hidden pixels take a token of this scale; then a convolution sets the width.

    Args:
        width: channels of the decoder at this scale.
        kernel_size: of the convolution; omitted if 1 with equal widths.
    """

    def __init__(self, dim: int, width: int, kernel_size: int) -> None:
        super().__init__()
        self.mask_token = MaskToken(dim)
        self.project = nn.Identity()
        if kernel_size > 1 or dim != width:
            self.project = nn.Conv2d(dim, width, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.project(self.mask_token(x, mask))


class DoublingBlock(nn.Module):
    """Twice the size, half the width: (B, C, H, W) -> (B, C / 2, 2 H, 2 W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(dim, dim, 4, stride=2, padding=1)
        self.conv = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, bias=False),
            nn.BatchNorm2d(dim),
            nn.ReLU6(inplace=True),
            nn.Conv2d(dim, dim // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(dim // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up(x))


class LightDecoder(nn.Module):
    """SparK's U-shaped decoder: maps from coarse to fine -> (B, out, H, W).

    Args:
        width: channels of the coarsest map, halved with every doubling of the size.
        doublings: from the coarsest map to the image, at least one per map.
    """

    def __init__(self, width: int, doublings: int, out: int = 3) -> None:
        super().__init__()
        if width % 2**doublings:
            raise ValueError(
                f"the decoder's width is halved {doublings} times: a multiple of "
                f"{2**doublings}, not {width}"
            )
        self.blocks = nn.ModuleList(DoublingBlock(width // 2**i) for i in range(doublings))
        self.readout = nn.Conv2d(width // 2**doublings, out, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Decode ``maps``, the i-th of them (B, width / 2^i, h 2^i, w 2^i)."""
        x = 0
        for i, block in enumerate(self.blocks):
            x = block(x + maps[i] if i < len(maps) else x)
        return self.readout(x)
