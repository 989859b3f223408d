"""A2MIM: hidden pixels take the image's mean, a middle layer gets the token, spectra must agree.

Li et al., "Architecture-Agnostic Masked Image Modeling: From ViT back to CNN", ICML 2023,
https://arxiv.org/abs/2205.13943 (sec. 4). Losses compared with the published code.
"""

import torch
from torch import Tensor, nn

from predcnn.pretraining.masks import at_size, masked_frequency_loss, masked_l1
from predcnn.pretraining.method import MaskedImageModel, MaskToken, Reconstruction
from predcnn.registry import PRETRAINING

KEPT = 1e-6  # initial share of a hidden feature that is added to the token


@PRETRAINING.register("a2mim")
class A2MIM(MaskedImageModel):
    """Images and mask -> L1 of the hidden pixels and focal frequency loss; any backbone.

    Args (others: see `MaskedImageModel`):
        cell: a multiple of the stride where the token enters.
        layer: stage whose input gets the token, from 0; None: the last one, 0 for networks of one
            stride.
        focal: weigh an error by its size (published for ResNet-50).
        frequency_weight: of the focal frequency loss; published: 0.5 for ResNet-50, 0.1 for ViT, 0
            for ConvNeXt.
        visible_weight: share of the frequency loss's gradient at visible pixels (ResNet-50: 0.001).
    """

    def __init__(
        self,
        backbone: nn.Module,
        image_size: int,
        *,
        cell: int = 32,
        ratio: float = 0.6,
        layer: int | None = None,
        focal: bool = False,
        frequency_weight: float = 0.1,
        visible_weight: float = 0.0,
    ) -> None:
        super().__init__(backbone, image_size, cell=cell, ratio=ratio)
        if layer is None:
            layer = 0 if self.encoder.isotropic else len(self.backbone.feature_info) - 1
        self.layer, self.focal = layer, focal
        self.frequency_weight = frequency_weight
        self.visible_weight = visible_weight
        self.token = MaskToken(self.token_dim(layer), keep=KEPT)
        self.head = self.pixel_head()

    def forward(self, images: Tensor, mask: Tensor) -> Reconstruction:
        mean = images.mean((2, 3), keepdim=True)
        filled = torch.where(at_size(mask, images.shape[2:]), mean, images)
        with self.encoder.entering(self.layer, lambda x: self.token(x, mask)):
            pixels = self.head(self.encoder(filled)[-1])
        loss, terms = self.losses(pixels, images, mask)
        return Reconstruction(loss, terms, pixels)

    def losses(
        self, pixels: Tensor, images: Tensor, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a reconstruction (B, C, S, S) and its parts."""
        l1 = masked_l1(pixels, images, mask, focal=self.focal)
        if not self.frequency_weight:
            return l1, {}
        frequency = masked_frequency_loss(pixels, images, mask, self.visible_weight)
        return l1 + self.frequency_weight * frequency, {"l1": l1, "frequency": frequency}
