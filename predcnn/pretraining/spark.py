"""SparK: a sparse convolutional encoder, and a U-shaped decoder on all of its scales.

Tian et al., "Designing BERT for Convolutional Networks: Sparse and Hierarchical Masked Modeling",
ICLR 2023, https://arxiv.org/abs/2301.03580 (fig. 3). Compared with the published code.
"""

import math
from typing import ClassVar

from torch import Tensor, nn

from predcnn.ops.norm import LayerNorm2d
from predcnn.pretraining.decoders import Densify, LightDecoder
from predcnn.pretraining.method import Reconstruction, SparseImageModel
from predcnn.pretraining.sparse import SparseContext
from predcnn.registry import PRETRAINING

NORMS = {"bn": nn.BatchNorm2d, "ln": LayerNorm2d}


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
