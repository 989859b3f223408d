"""Making a masked image model from its name and options."""

from torch import nn

from predcnn.blocks.protocol import check_options
from predcnn.pretraining.method import MaskedImageModel
from predcnn.registry import PRETRAINING


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
