"""Registration of our backbones in timm as ``predcnn_<name>``."""

import sys
from collections.abc import Callable

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from predcnn.registry import BACKBONES

PREFIX = "predcnn_"
IMAGENET = {"input_size": (3, 224, 224), "num_classes": 1000, "crop_pct": 0.9}

default_cfgs = generate_default_cfgs({PREFIX + name: IMAGENET for name in BACKBONES.names()})


def _entry(name: str) -> Callable[..., nn.Module]:
    """Return the function that timm calls for one of our names."""
    cls = BACKBONES[name]

    def create(pretrained: bool = False, **options: object) -> nn.Module:
        if pretrained:
            raise ValueError(
                f"timm has no weights of {PREFIX}{name}; load the authors' file with "
                "predcnn.load_official_weights"
            )
        return build_model_with_cfg(
            cls,
            PREFIX + name,
            pretrained,
            feature_cfg={"out_indices": (0, 1, 2, 3), "feature_cls": "getter"},
            kwargs_filter=("global_pool",),
            **{**cls.presets[name], **options},
        )

    create.__name__ = create.__qualname__ = PREFIX + name
    return create


for _name in BACKBONES.names():
    setattr(sys.modules[__name__], PREFIX + _name, register_model(_entry(_name)))
