"""Feature maps of a backbone's stages, for detection, segmentation and pose."""

from collections.abc import Sequence

from timm.models import FeatureInfo
from torch import Tensor, nn

LEAST_STRIDE = 4


class FeatureMaps(nn.Module):
    """Images (B, 3, H, W) -> list of maps (B, C_i, H / stride_i, W / stride_i), fine to coarse.

    Layers that only the classifier needs are removed from the backbone.

    Attributes:
        feature_info: timm's `FeatureInfo`: ``channels()``, ``reduction()``, ``module_name()``.

    Args:
        backbone: has timm's ``feature_info``, ``forward_intermediates`` and
            ``prune_intermediate_layers``.
        out_indices: indices of the maps; None: all of stride 4 and more.
    """

    def __init__(self, backbone: nn.Module, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        strides = [stage["reduction"] for stage in backbone.feature_info]
        if out_indices is None and len(strides) > 1 and len(set(strides)) == 1:
            raise ValueError(
                f"{type(backbone).__name__} is isotropic: its {len(strides)} maps all have stride "
                f"{strides[0]}; choose some with out_indices=(…)"
            )
        if out_indices is None:
            out_indices = [i for i, stride in enumerate(strides) if stride >= LEAST_STRIDE]
        self.out_indices = take_indices(len(strides), out_indices)
        self.feature_info = FeatureInfo(list(backbone.feature_info), tuple(self.out_indices))
        backbone.prune_intermediate_layers(self.out_indices, prune_norm=True)
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.backbone.forward_intermediates(
            x, indices=self.out_indices, output_fmt="NCHW", intermediates_only=True
        )


def check_features(what: str, features: object) -> None:
    """Raise TypeError unless ``features``, the input of ``what``, are `FeatureMaps`."""
    if not isinstance(features, FeatureMaps):
        raise TypeError(
            f"{what} needs create_backbone(name, features_only=True), not a "
            f"{type(features).__name__}"
        )


def take_indices(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Return indices of feature maps from 0 up: the last n for an integer n, all for None.

    Negative indices in a sequence count from the end; an index out of range raises ValueError.
    """
    if indices is None:
        return list(range(count))
    wanted = range(count - indices, count) if isinstance(indices, int) else indices
    bad = [i for i in wanted if not -count <= i < count]
    if bad or not wanted:
        raise ValueError(f"there are {count} feature maps, 0 to {count - 1}, not {indices}")
    return [i % count for i in wanted]
