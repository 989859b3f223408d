"""The base of all masked image models: images and a mask in, a loss and a reconstruction out."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from predcnn.blocks.protocol import check_options
from predcnn.pretraining.decoders import MaskToken
from predcnn.pretraining.encoder import Encoder
from predcnn.pretraining.losses import cell_statistics, masked_mse
from predcnn.pretraining.masks import MaskGenerator, at_size
from predcnn.pretraining.sparse import SparseContext
from predcnn.registry import PRETRAINING


class Reconstruction(NamedTuple):
    """Result of a pass: ``loss`` and its parts (scalars), ``pixels`` (B, 3, S, S) like the images.

    Visible pixels of ``pixels`` are the model's guess as well; see `fill`.
    """

    loss: Tensor
    terms: Mapping[str, Tensor]
    pixels: Tensor


class MaskedImageModel(nn.Module):
    """Images (B, 3, S, S), normalised, and their mask (B, S / cell, S / cell) -> `Reconstruction`.

    A subclass is registered in PRETRAINING, takes ``(backbone, image_size, *, cell, ratio, <own
    options>)`` and defines ``forward(images, mask)``.

    Attributes:
        encoder: holds the backbone that is wanted in the end.
        masks: makes masks of a batch.

    Args:
        backbone: see `Encoder`; its classifier is cut off.
        image_size: S.
        cell: side of a hidden cell in pixels.
        ratio: share of hidden cells.
    """

    rounding: ClassVar[str] = "up"
    """How many cells that share is, see `MaskGenerator`."""

    def __init__(
        self, backbone: nn.Module, image_size: int, *, cell: int = 32, ratio: float = 0.6
    ) -> None:
        super().__init__()
        self.masks = MaskGenerator(image_size, cell, ratio, self.rounding)
        self.encoder = Encoder(backbone, image_size)
        self.image_size = image_size
        self.cell = cell

    @property
    def backbone(self) -> nn.Module:
        """The network that is trained, without its classifier."""
        return self.encoder.backbone

    def tokens(self) -> list[nn.Parameter]:
        """Parameters of the mask tokens."""
        parts = [part for part in self.modules() if isinstance(part, MaskToken)]
        return [parameter for part in parts for parameter in part.parameters()]

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay: tokens, and those of the backbone."""
        own = getattr(self.backbone, "no_weight_decay", set)()
        tokens = {id(parameter) for parameter in self.tokens()}
        names = {name for name, value in self.named_parameters() if id(value) in tokens}
        return names | {f"encoder.backbone.{name}" for name in own}

    def forward(self, images: Tensor, mask: Tensor) -> Reconstruction:
        raise NotImplementedError(f"{type(self).__name__} does not define forward(images, mask)")

    def check_token_map(self, side: int, where: str) -> None:
        """ValueError unless the pixels of a map of this side lie within single cells."""
        if side % self.masks.side:
            stride = self.image_size // side
            raise ValueError(
                f"cells of {self.cell} pixels end within the pixels of {where} (stride {stride}): "
                f"make method.cell a multiple of {stride}"
            )


class SparseImageModel(MaskedImageModel):
    """A masked image model whose encoder never sees a hidden pixel."""

    def __init__(
        self, backbone: nn.Module, image_size: int, *, cell: int = 32, ratio: float = 0.6
    ) -> None:
        super().__init__(backbone, image_size, cell=cell, ratio=ratio)
        self.check_token_map(image_size // self.encoder.strides[-1], "the last map")
        nothing = torch.zeros(1, self.masks.side, self.masks.side, dtype=torch.bool)
        try:
            self.encoder.probe(SparseContext(nothing))
        except ValueError as error:
            raise ValueError(
                f"{type(self).__name__} cannot hide pixels from {type(backbone).__name__}: "
                f"{error}. method=a2mim and method=simmim take any backbone"
            ) from error

    def sparse_maps(self, images: Tensor, mask: Tensor) -> list[Tensor]:
        """The encoder's maps of the visible pixels, zero at the hidden ones."""
        context = SparseContext(mask)
        images = context.hide(images)
        with context:
            maps = self.encoder(images)
        return [context.hide(x) for x in maps]

    def reconstruct(
        self, pixels: Tensor, images: Tensor, mask: Tensor, normalise: bool = True
    ) -> Reconstruction:
        """Mean squared error of hidden pixels; ``normalise``: ``pixels`` are (x - mean) / deviation
        of their cell, and the reconstruction undoes that with the true mean and deviation.
        """
        if not normalise:
            return Reconstruction(masked_mse(pixels, images, mask), {}, pixels)
        mean, scale = cell_statistics(images, self.cell)
        loss = masked_mse(pixels, (images - mean) / scale, mask)
        return Reconstruction(loss, {}, pixels * scale + mean)


def fill(images: Tensor, pixels: Tensor, mask: Tensor) -> Tensor:
    """``images`` with their hidden pixels taken from ``pixels``; all (B, C, H, W)."""
    return torch.where(at_size(mask, images.shape[2:]), pixels, images)


def create_method(
    name: str, backbone: nn.Module, image_size: int, **options: object
) -> MaskedImageModel:
    """A masked image model around a backbone, whose classifier is cut off.

    Args:
        name: "simmim", "a2mim", "spark", "fcmae", or the dotted path of a class of your own.
        backbone: one of `predcnn.create_backbone`.
        image_size: side of the images in pixels.
        options: cell, ratio and the method's own options; see its class.

    Raises:
        KeyError: unknown name. TypeError: unknown option. ValueError: a backbone that the method
        cannot train, or sizes that do not fit.
    """
    cls = PRETRAINING[name]
    if not issubclass(cls, MaskedImageModel):
        raise TypeError(f"{name} is no pre-training method: it is no MaskedImageModel")
    check_options(name, cls, options, implied=("backbone", "image_size"))
    return cls(backbone, image_size, **options)
