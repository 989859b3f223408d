"""Backbones by name."""

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
from torch import nn

from predcnn.backbones.features import FeatureMaps
from predcnn.backbones.pretrained import load_official_weights, start_from_pretrained
from predcnn.blocks.protocol import check_options
from predcnn.checks import hint
from predcnn.registry import BACKBONES

PREFIX = "timm/"
SHARED_OPTIONS = ("num_classes", "in_chans", "drop_path_rate")


def list_backbones(pattern: str = "*") -> list[str]:
    """Return the names that `create_backbone` accepts, sorted.

    Args:
        pattern: shell pattern: "moganet_*" for ours, "timm/convnext*" for timm's.
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
    """Create an image network (B, in_chans, H, W) -> logits (B, num_classes) or feature maps.

    Args:
        name: one of `list_backbones`, "timm/<name>", or the dotted path of your own class.
        num_classes: 0 for the pooled features.
        drop_path_rate: probability of skipping a residual branch in the last block; it grows
            linearly over the depth from 0 in the first.
        features_only: return the maps of the stages, strides 4, 8, 16, 32; see `FeatureMaps`.
        out_indices: with ``features_only``, indices of the maps.
        weights: checkpoint of the authors or timm, see `predcnn.load_official_weights`; or a file
            of scripts/pretrain_backbone.py, whose report is the attribute ``taken_weights``.
        options: of the family's class (depths, dims, ...), or of ``timm.create_model``.

    Raises:
        KeyError: unknown name. TypeError: unknown option. ValueError: values that do not fit.
    """
    if out_indices is not None and not features_only:
        raise ValueError("out_indices needs features_only=True")
    shared = dict(zip(SHARED_OPTIONS, (num_classes, in_chans, drop_path_rate), strict=True))
    backbone = _create(name, shared, options)
    if (taken := start_from_pretrained(backbone, weights)) is not None:
        backbone.taken_weights = taken
    elif weights is not None:
        load_official_weights(backbone, weights)
    return FeatureMaps(backbone, out_indices) if features_only else backbone


def _create(name: str, shared: dict[str, object], options: dict[str, object]) -> nn.Module:
    """Build a network of ours or of timm, where ``drop_path_rate=0`` keeps the network's own."""
    if not (isinstance(name, str) and name.startswith(PREFIX)):
        cls = BACKBONES[name]
        check_options(name, cls, options, implied=SHARED_OPTIONS)
        return cls(**shared, **{**getattr(cls, "presets", {}).get(name, {}), **options})
    if not timm.is_model(name.removeprefix(PREFIX).partition(".")[0]):
        near = hint(name.removeprefix(PREFIX), timm.list_models(), PREFIX)
        raise KeyError(f"no backbone {name!r}; {near}timm {timm.__version__} does not have it")
    if not shared["drop_path_rate"]:
        del shared["drop_path_rate"]
    return timm.create_model(name.removeprefix(PREFIX), **shared, **options)
