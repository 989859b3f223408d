"""SparK: a sparse convolutional encoder, and a U-shaped decoder on all of its scales.

Tian et al., "Designing BERT for Convolutional Networks: Sparse and Hierarchical Masked Modeling",
ICLR 2023, https://arxiv.org/abs/2301.03580 (fig. 3). Compared with the published code.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops.norm import LayerNorm2d
from predcnn.pretraining.method import MaskToken, Reconstruction, SparseImageModel
from predcnn.pretraining.sparse import SparseContext
from predcnn.registry import PRETRAINING

NORMS = {"bn": nn.BatchNorm2d, "ln": LayerNorm2d}


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


@PRETRAINING.register("spark")
class SparK(SparseImageModel):
    """Images and mask -> mean squared error of hidden pixels, normalised by cell.

    For convolutional backbones whose maps halve from stage to stage.

    Args (others: see `MaskedImageModel`):
        width: channels of the decoder at the coarsest map, halved with every doubling of the size.
        norm: of the maps before the decoder, "bn" (published for ResNet) or "ln" (ConvNeXt); None:
            "bn" if the backbone has batch norms, else "ln".
    """

    rounding: ClassVar[str] = "nearest"

    def __init__(
        self,
        backbone: nn.Module,
        image_size: int,
        *,
        cell: int = 32,
        ratio: float = 0.6,
        width: int = 768,
        norm: str | None = None,
    ) -> None:
        super().__init__(backbone, image_size, cell=cell, ratio=ratio)
        if norm is None:
            norm = "bn" if any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules()) else "ln"
        if norm not in NORMS:
            raise ValueError(f"norm is one of {', '.join(NORMS)}, not {norm!r}")
        dims, strides = self.encoder.dims[::-1], self.encoder.strides[::-1]
        if strides != [strides[0] >> i for i in range(len(strides))] or strides[0].bit_count() != 1:
            raise ValueError(
                f"SparK's decoder needs strides that halve from map to map, not {strides}; "
                "method=fcmae reads the last map alone"
            )
        self.decoder = LightDecoder(width, int(math.log2(strides[0])), self.encoder.in_chans)
        self.norms = nn.ModuleList(NORMS[norm](dim) for dim in dims)
        self.bridges = nn.ModuleList(
            Densify(dim, width >> i, 3 if i else 1) for i, dim in enumerate(dims)
        )

    def forward(self, images: Tensor, mask: Tensor) -> Reconstruction:
        maps = self.sparse_maps(images, mask)[::-1]
        with SparseContext(mask):
            maps = [norm(x) for norm, x in zip(self.norms, maps, strict=True)]
        dense = [bridge(x, mask) for bridge, x in zip(self.bridges, maps, strict=True)]
        return self.reconstruct(self.decoder(dense), images, mask)
