"""SimMIM: a token in the place of hidden patches, one linear layer back to the pixels.

Xie et al., "SimMIM: A Simple Framework for Masked Image Modeling", CVPR 2022,
https://arxiv.org/abs/2111.09886 (sec. 3). Loss compared with the published code.
"""

from torch import Tensor, nn

from predcnn.pretraining.masks import masked_l1
from predcnn.pretraining.method import MaskedImageModel, MaskToken, Reconstruction
from predcnn.registry import PRETRAINING


@PRETRAINING.register("simmim")
class SimMIM(MaskedImageModel):
    """Images and mask -> L1 of hidden pixels; ``cell`` is a multiple of the stem's stride."""

    def __init__(
        self, backbone: nn.Module, image_size: int, *, cell: int = 32, ratio: float = 0.6
    ) -> None:
        super().__init__(backbone, image_size, cell=cell, ratio=ratio)
        self.token = MaskToken(self.token_dim(0))
        self.head = self.pixel_head()

    def forward(self, images: Tensor, mask: Tensor) -> Reconstruction:
        with self.encoder.entering(0, lambda x: self.token(x, mask)):
            pixels = self.head(self.encoder(images)[-1])
        return Reconstruction(masked_l1(pixels, images, mask), {}, pixels)
