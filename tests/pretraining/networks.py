"""Small encoders for tests: timm's ConvNeXt cut down, and a plain batch-norm network."""

from collections.abc import Sequence

import timm
from torch import Tensor, nn

DIMS, DEPTHS = (8, 12, 16, 24), (1, 1, 1, 1)


def tiny(name: str = "convnext_tiny", **options: object) -> nn.Module:
    """A network of timm's ConvNeXt family with four stages of one block."""
    return timm.create_model(name, num_classes=0, **{"dims": DIMS, "depths": DEPTHS, **options})


class BatchNormNet(nn.Module):
    """Four stages of two convolutions with batch norm, strides 4, 8, 16, 32: SparK's test net."""

    def __init__(self) -> None:
        super().__init__()
        widths = zip((3, *DIMS), DIMS, (4, 2, 2, 2), strict=False)
        self.stages = nn.ModuleList(self._stage(*width) for width in widths)
        self.feature_info = [
            {"num_chs": dim, "reduction": 4 << i, "module": f"stages.{i}"}
            for i, dim in enumerate(DIMS)
        ]

    @staticmethod
    def _stage(dim: int, out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(dim, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )

    def prune_intermediate_layers(
        self, indices: Sequence[int], prune_norm: bool, prune_head: bool
    ) -> None:
        pass

    def forward_intermediates(
        self,
        x: Tensor,
        indices: Sequence[int],
        norm: bool,
        output_fmt: str,
        intermediates_only: bool,
    ) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[i] for i in indices]
