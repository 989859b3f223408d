"""FCMAE: a sparse convolutional encoder, and a decoder of one ConvNeXt V2 block.

Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023,
https://arxiv.org/abs/2301.00808 (sec. 3.1). Decoder and loss compared with the published code.
"""

from torch import Tensor, nn

from predcnn.blocks.convnextv2 import ConvNeXtV2Block
from predcnn.ops.init import init_trunc_normal
from predcnn.pretraining.method import MaskToken, PixelHead, Reconstruction, SparseImageModel
from predcnn.registry import PRETRAINING


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


@PRETRAINING.register("fcmae")
class FCMAE(SparseImageModel):
    """Images and mask -> mean squared error of hidden pixels, normalised by cell.

    Published for ConvNeXt V2; here for any convolutional backbone. Response normalisation uses the
    visible pixels of each image, as fine-tuning does; the published code those of the entire batch.

    Args (others: see `MaskedImageModel`):
        normalise: the target of a cell is (pixels - mean) / deviation.
    """

    def __init__(
        self,
        backbone: nn.Module,
        image_size: int,
        *,
        cell: int = 32,
        ratio: float = 0.6,
        width: int = 512,
        depth: int = 1,
        normalise: bool = True,
    ) -> None:
        super().__init__(backbone, image_size, cell=cell, ratio=ratio)
        self.normalise = normalise
        dim, stride = self.encoder.dims[-1], self.encoder.strides[-1]
        out = self.encoder.in_chans
        self.decoder = BlockDecoder(dim, stride, width=width, depth=depth, out=out)

    def forward(self, images: Tensor, mask: Tensor) -> Reconstruction:
        pixels = self.decoder(self.sparse_maps(images, mask)[-1], mask)
        return self.reconstruct(pixels, images, mask, self.normalise)
