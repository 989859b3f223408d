"""A feature pyramid on a backbone, for torchvision's detectors.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
https://arxiv.org/abs/1612.03144; the two extra levels of RetinaNet: Lin et al., "Focal Loss for
Dense Object Detection", ICCV 2017, https://arxiv.org/abs/1708.02002.
"""

import itertools
from collections import OrderedDict

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from predcnn.backbones.features import FeatureMaps, check_features

EXTRA = {None: lambda width: None, "pool": lambda width: LastLevelMaxPool(),
         "p6p7": lambda width: LastLevelP6P7(width, width)}  # fmt: skip


class FeaturePyramid(nn.Module):
    """Images (B, 3, H, W) -> maps (B, out_channels, H / stride, W / stride), fine to coarse.

    The maps are an ordered dict with the keys "0", "1", … and the names of the extra levels, the
    input of torchvision's RetinaNet, Faster R-CNN and Mask R-CNN.

    Args:
        features: ``create_backbone(name, features_only=True)``; the strides must double.
        extra: extra levels: None, "pool" (one, Faster and Mask R-CNN) or "p6p7" (two, RetinaNet).
    """

    def __init__(
        self, features: FeatureMaps, out_channels: int = 256, extra: str | None = "pool"
    ) -> None:
        super().__init__()
        check_features("a pyramid", features)
        if extra not in EXTRA:
            raise ValueError(f"extra is None, 'pool' or 'p6p7', not {extra!r}")
        strides = features.feature_info.reduction()
        if any(b != 2 * a for a, b in itertools.pairwise(strides)):
            raise ValueError(
                f"a pyramid needs maps whose strides double, not {strides}: use a hierarchical "
                "network, not an isotropic one (ViT, MLP-Mixer, ConvMixer)"
            )
        self.features, self.out_channels = features, out_channels
        self.pyramid = FeaturePyramidNetwork(
            features.feature_info.channels(), out_channels, EXTRA[extra](out_channels)
        )

    def forward(self, x: Tensor) -> "OrderedDict[str, Tensor]":
        return self.pyramid(OrderedDict((str(i), m) for i, m in enumerate(self.features(x))))
