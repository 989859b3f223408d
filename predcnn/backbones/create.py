"""Making a backbone from its name and options."""

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
from torch import nn

from predcnn.backbones.features import FeatureMaps
from predcnn.backbones.pretrained import read_pretrained, start_from_pretrained
from predcnn.backbones.timm_models import PREFIX, create_timm
from predcnn.backbones.weights import load_official_weights
from predcnn.blocks.protocol import check_options
from predcnn.registry import BACKBONES

SHARED_OPTIONS = ("num_classes", "in_chans", "drop_path_rate")


def list_backbones(pattern: str = "*") -> list[str]:
    """Names that `create_backbone` accepts, sorted: ours, or timm's for a pattern "timm/…".

    Args:
        pattern: with the wild cards of a shell, as "moganet_*" or "timm/convnext*".
    """
    if pattern.startswith(PREFIX):
        names = timm.list_models(pattern.removeprefix(PREFIX), exclude_filters="predcnn_*")
        return [PREFIX + name for name in names]
    return fnmatch.filter(BACKBONES.names(), pattern)


def create_backbone(
    name: str,
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    drop_path_rate: float = 0.0,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    weights: str | Path | Mapping[str, object] | None = None,
    **options: object,
) -> nn.Module:
    """An image network (B, in_chans, H, W) -> logits (B, num_classes), or -> maps of its stages.

    Args:
        name: one of `list_backbones`, "timm/<name>" for a network of timm, or the dotted path of a
            class of your own.
        num_classes: classes; 0 for the pooled features.
        in_chans: channels of the images.
        drop_path_rate: probability of skipping a residual branch in the last block; linear over the
            depth from 0 in the first.
        features_only: give the list of the stages' maps, strides 4, 8, 16, 32, and carry
            ``feature_info``; see `FeatureMaps`.
        out_indices: with ``features_only``, which maps.
        weights: the authors' or timm's checkpoint, see `predcnn.load_official_weights`; or what
            scripts/pretrain_backbone.py made, all but the classifier, reported in the network's
            ``taken_weights``.
        options: depths, dims and the family's own options; see its class. For timm's networks what
            ``timm.create_model`` takes.

    Raises:
        KeyError: unknown name. TypeError: unknown option. ValueError: values that do not fit.
    """
    if out_indices is not None and not features_only:
        raise ValueError("out_indices chooses feature maps: say features_only=True with it")
    shared = dict(zip(SHARED_OPTIONS, (num_classes, in_chans, drop_path_rate), strict=True))
    if isinstance(name, str) and name.startswith(PREFIX):
        backbone = create_timm(name.removeprefix(PREFIX), **shared, **options)
    else:
        cls = BACKBONES[name]
        check_options(name, cls, options, implied=SHARED_OPTIONS)
        preset = getattr(cls, "presets", {}).get(name, {})
        backbone = cls(**shared, **{**preset, **options})
    if read_pretrained(weights) is not None:
        backbone.taken_weights = start_from_pretrained(backbone, weights)
    elif weights is not None:
        load_official_weights(backbone, weights)
    return FeatureMaps(backbone, out_indices) if features_only else backbone
