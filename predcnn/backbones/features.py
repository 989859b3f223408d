"""The maps of a backbone's stages, for detection, segmentation and pose."""

from collections.abc import Sequence

from timm.models import FeatureInfo
from torch import Tensor, nn

LEAST_STRIDE = 4


class FeatureMaps(nn.Module):
    """Images (B, 3, H, W) -> list of maps (B, C_i, H / stride_i, W / stride_i), fine to coarse.

    What only the classifier needs is cut off the backbone.

    Attributes:
        feature_info: timm's `FeatureInfo`: ``channels()``, ``reduction()``, ``module_name()``.

    Args:
        backbone: a network with ``feature_info``, ``forward_intermediates`` and
            ``prune_intermediate_layers`` as timm defines them; ours and timm's have them.
        out_indices: which of its maps; None for every one of stride 4 and more.
    """

    def __init__(self, backbone: nn.Module, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        name, strides = type(backbone).__name__, [i["reduction"] for i in backbone.feature_info]
        if out_indices is None:
            out_indices = _pyramid(name, strides)
        self.out_indices = take_indices(len(strides), out_indices)
        self.feature_info = FeatureInfo(list(backbone.feature_info), tuple(self.out_indices))
        backbone.prune_intermediate_layers(self.out_indices, prune_norm=True)
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.backbone.forward_intermediates(
            x, indices=self.out_indices, output_fmt="NCHW", intermediates_only=True
        )


def check_features(what: str, features: object) -> None:
    """TypeError unless ``features``, on which ``what`` stands, are `FeatureMaps`."""
    if not isinstance(features, FeatureMaps):
        raise TypeError(
            f"{what} stands on feature maps, not on a {type(features).__name__}: "
            "create_backbone(name, features_only=True)"
        )


def take_indices(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Numbers of feature maps from 0 up: the last n for a number n, all ``count`` for None.

    Negative ones in a sequence count from the end; ValueError for one that is not there.
    """
    if indices is None:
        return list(range(count))
    wanted = range(count - indices, count) if isinstance(indices, int) else indices
    bad = [i for i in wanted if not -count <= i < count]
    if bad or not wanted:
        raise ValueError(f"there are {count} feature maps, 0 to {count - 1}; given {indices}")
    return [i % count for i in wanted]


def _pyramid(name: str, strides: Sequence[int]) -> list[int]:
    """The maps of stride 4 and more; ValueError where all strides are one."""
    if len(strides) > 1 and len(set(strides)) == 1:
        raise ValueError(
            f"{name} is isotropic: its {len(strides)} maps all have stride {strides[0]}, which is "
            "no pyramid; say out_indices=(…) to take maps of this one stride"
        )
    return [i for i, stride in enumerate(strides) if stride >= LEAST_STRIDE]
