"""The base of all masked image models: images and a mask in, a loss and a reconstruction out."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from predcnn.blocks.protocol import check_options
from predcnn.pretraining.encoder import Encoder
from predcnn.pretraining.masks import MaskGenerator, at_size, cell_statistics, masked_mse
from predcnn.pretraining.sparse import SparseContext
from predcnn.registry import PRETRAINING


class Reconstruction(NamedTuple):
    """Result of a pass: ``loss`` and its parts (scalars), ``pixels`` (B, 3, S, S) like the images.

    Visible pixels of ``pixels`` are predictions too; see `fill`.
    """

    loss: Tensor
    terms: Mapping[str, Tensor]
    pixels: Tensor


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


class MaskedImageModel(nn.Module):
    """Images (B, 3, S, S), normalised, and their mask (B, S / cell, S / cell) -> `Reconstruction`.

    A subclass is registered in PRETRAINING, takes ``(backbone, image_size, *, cell, ratio, <own
    options>)`` and defines ``forward(images, mask)``.

    Args:
        backbone: see `Encoder`; its classifier is removed.
        image_size: S.
        cell: side of a hidden cell in pixels.
        ratio: share of hidden cells.
    """

    rounding: ClassVar[str] = "up"  # rounding of the number of hidden cells, see `MaskGenerator`

    def __init__(
        self, backbone: nn.Module, image_size: int, *, cell: int = 32, ratio: float = 0.6
    ) -> None:
        super().__init__()
        self.masks = MaskGenerator(image_size, cell, ratio, self.rounding)
        self.encoder = Encoder(backbone, image_size)
        self.image_size, self.cell = image_size, cell

    @property
    def backbone(self) -> nn.Module:
        """The network that is trained, without its classifier."""
        return self.encoder.backbone

    def tokens(self) -> list[nn.Parameter]:
        parts = [part for part in self.modules() if isinstance(part, MaskToken)]
        return [parameter for part in parts for parameter in part.parameters()]

    def no_weight_decay(self) -> set[str]:
        """Return the names of tokens and of the backbone's parameters without weight decay."""
        own = getattr(self.backbone, "no_weight_decay", set)()
        tokens = {id(parameter) for parameter in self.tokens()}
        names = {name for name, value in self.named_parameters() if id(value) in tokens}
        return names | {f"encoder.backbone.{name}" for name in own}

    def pixel_head(self) -> PixelHead:
        """Build a linear map from the encoder's last map to pixels."""
        encoder = self.encoder
        return PixelHead(encoder.dims[-1], encoder.strides[-1], encoder.in_chans)

    def token_dim(self, stage: int) -> int:
        """Return the channels of a stage's input, whose pixels must lie within single cells."""
        shapes: list[tuple[int, ...]] = []
        with self.encoder.entering(stage, lambda x: shapes.append(x.shape) or x):
            self.encoder.probe()
        self.check_token_map(shapes[0][2], f"the input of stage {stage}")
        return shapes[0][1]

    def check_token_map(self, side: int, where: str) -> None:
        """Raise ValueError unless the pixels of a map of this side lie within single cells."""
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
        """Return the encoder's maps of the visible pixels, zero at the hidden ones."""
        context = SparseContext(mask)
        images = context.hide(images)
        with context:
            maps = self.encoder(images)
        return [context.hide(x) for x in maps]

    def reconstruct(
        self, pixels: Tensor, images: Tensor, mask: Tensor, normalise: bool = True
    ) -> Reconstruction:
        """Return the mean squared error of hidden pixels and the reconstruction.

        With ``normalise``, ``pixels`` predict (x - mean) / deviation of their cell; the
        reconstruction undoes that with the true mean and deviation.
        """
        mean, scale = cell_statistics(images, self.cell) if normalise else (0.0, 1.0)
        loss = masked_mse(pixels, (images - mean) / scale, mask)
        return Reconstruction(loss, {}, pixels * scale + mean)


def fill(images: Tensor, pixels: Tensor, mask: Tensor) -> Tensor:
    """Replace the hidden pixels of ``images`` by those of ``pixels``; all (B, C, H, W)."""
    return torch.where(at_size(mask, images.shape[2:]), pixels, images)


def create_method(
    name: str, backbone: nn.Module, image_size: int, **options: object
) -> MaskedImageModel:
    """Build a masked image model around a backbone, whose classifier is removed.

    Args:
        name: "simmim", "a2mim", "spark", "fcmae", or the dotted path of your own class.
        options: cell, ratio and the method's own options; see its class.

    Raises:
        KeyError, TypeError: unknown name or option.
        ValueError: a backbone that the method cannot train, or sizes that do not fit.
    """
    cls = PRETRAINING[name]
    if not issubclass(cls, MaskedImageModel):
        raise TypeError(f"{name} is not a pre-training method: not a subclass of MaskedImageModel")
    check_options(name, cls, options, implied=("backbone", "image_size"))
    return cls(backbone, image_size, **options)
