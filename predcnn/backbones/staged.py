"""The one skeleton of all hierarchical image networks: stem, stages, pooling, classifier.

A family defines its stem, blocks, downsampling and norms, and their names in published checkpoints;
everything else, the feature interface of timm included, is here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.backbones.features import take_indices
from predcnn.ops.fold import Savings, merge_parts
from predcnn.registry import BACKBONES

CONVNEXT_KEYS = {
    "stem": "downsample_layers.0",
    "stages.{i}.down": "downsample_layers.{i}",
    "stages.{i}.blocks": "stages.{i}",
    "head.norm": "norm",
    "head.fc": "head",
}
"""Published names of the networks that descend from ConvNeXt; see `StagedBackbone`."""


def presets(**options: Mapping[str, object]) -> Callable[[type], type]:
    """Decorator that registers a family's class under each of these names with its options."""

    def add(cls: type) -> type:
        cls.presets = options
        for name in options:
            BACKBONES.register(name)(cls)
        return cls

    return add


def doubling(first: int) -> tuple[int, int, int, int]:
    """Widths of four stages, each twice the last."""
    return first, 2 * first, 4 * first, 8 * first


class Stage(nn.Module):
    """Downsampling, blocks and a norm behind them: (B, C', H', W') -> (B, C, H, W).

    Args:
        dim: channels C.
        down: changes size and width; identity in the first stage, whose stem does it.
        blocks: (B, C, H, W) -> (B, C, H, W) each.
        norm: of the result, or identity.
    """

    def __init__(
        self, dim: int, down: nn.Module, blocks: Sequence[nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.dim = dim
        self.down = down
        self.blocks = nn.Sequential(*blocks)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.down(x)))


def make_stages(
    dims: Sequence[int],
    depths: Sequence[int],
    drop_path_rate: float,
    *,
    block: Callable[[int, int, float], nn.Module],
    down: Callable[[int, int], nn.Module],
    norm: Callable[[int], nn.Module] = lambda dim: nn.Identity(),
    per_stage: Mapping[str, Sequence[object]] | None = None,
) -> list[Stage]:
    """One `Stage` per width; stochastic depth grows linearly from 0 over all blocks.

    Args:
        dims: channels of each stage.
        depths: blocks of each stage.
        drop_path_rate: of the last block.
        block: (stage, index in the stage, drop_path) -> block.
        down: (channels before, channels after) -> downsampling.
        norm: channels -> norm at the end of a stage.
        per_stage: further options that ``block`` reads one value per stage of, by name.

    Raises:
        ValueError: an option that is not one value per stage, or a rate that is no probability.
    """
    for name, values in {"depths": depths, **(per_stage or {})}.items():
        if not dims or len(values) != len(dims):
            raise ValueError(
                f"{name} is one value per stage, as many as dims {tuple(dims)}, not {values}"
            )
    if not 0.0 <= drop_path_rate <= 1.0:
        raise ValueError(f"drop_path_rate is a probability in [0, 1], not {drop_path_rate}")
    rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist())
    stages = []
    for i, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
        between = down(dims[i - 1], dim) if i else nn.Identity()
        blocks = [block(i, j, next(rates)) for j in range(depth)]
        stages.append(Stage(dim, between, blocks, norm(dim)))
    return stages


class ClassifierHead(nn.Module):
    """Mean over the map and a linear layer: (B, C, H, W) -> (B, num_classes).

    Args:
        dim: channels of the pooled features.
        num_classes: 0 for the features themselves.
        conv: applied to the map before the mean; may change its width to ``dim``.
        norm: applied to the mean.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        *,
        conv: nn.Module | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"num_classes is a count, 0 for no classifier, not {num_classes}")
        self.dim = dim
        self.conv = nn.Identity() if conv is None else conv
        self.norm = nn.Identity() if norm is None else norm
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A new linear layer."""
        self.fc = nn.Linear(self.dim, num_classes) if num_classes else nn.Identity()
        if num_classes:
            nn.init.trunc_normal_(self.fc.weight, std=0.02)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.norm(self.conv(x).mean((2, 3)))
        return x if pre_logits else self.fc(x)


class StagedBackbone(nn.Module):
    """Images (B, in_chans, H, W) -> logits (B, num_classes); any H and W from about 32 up.

    A family is a subclass that `presets` registers. Its constructor takes its own named options and

    - ``num_classes``: classes; 0 for the pooled features. ``in_chans``: channels of the images.
    - ``drop_path_rate``: of the last block; linear over the depth.
    - ``dims``, ``depths``: channels and number of blocks of each stage.

    It declares

    - ``published_keys``: {our name or prefix: the authors'}, where ``{i}`` stands for a stage's
      number from 0, ``{n}`` for that from 1 and ``{p}`` for that of the stage before. Blocks say
      their own names.
    - ``deployed``: (a key's ending, a class) where the authors also publish merged weights: such a
      key tells them, and the class's ``merge_`` makes ours the same.

    Attributes:
        feature_info: one dict per stage, as timm has it: num_chs, reduction, module.
        num_features: channels of the last stage. num_classes: of the classifier.
        merged: whether branches or norms were merged. savings: what that saved, None before.
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {}
    published_keys: ClassVar[dict[str, str]] = {}
    deployed: ClassVar[tuple[str, type] | None] = None

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Stage],
        head: ClassifierHead,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.norm = nn.Identity() if norm is None else norm
        self.head = head
        self.num_features = stages[-1].dim
        self.num_classes = getattr(head.fc, "out_features", 0)
        self.feature_info = [
            {"num_chs": stage.dim, "reduction": 4 * 2**i, "module": f"stages.{i}"}
            for i, stage in enumerate(stages)
        ]
        self.merged = False
        self.savings: Savings | None = None

    @property
    def openstl_keys(self) -> dict[str, str]:
        """``published_keys`` with every stage's number filled in."""
        names = {}
        for ours, theirs in self.published_keys.items():
            for i in range(len(self.stages) if "{i}" in ours else 1):
                names[ours.format(i=i)] = theirs.format(i=i, n=i + 1, p=i - 1)
        return names

    def forward_features(self, x: Tensor) -> Tensor:
        """The last stage's map (B, C, H / 32, W / 32), with the final norm."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.norm(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits of the last map, or what the last linear layer would read."""
        return self.head(x, pre_logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps of some stages, and the last one as `forward_features` gives it.

        Args:
            x: images.
            indices: which stages: the last n for a number, all for None.
            norm: apply the final norm to the last stage's map.
            stop_early: compute nothing beyond the last stage asked for.
            output_fmt: "NCHW", the only form there is.
            intermediates_only: leave out the last map of the two results.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"feature maps are NCHW, not {output_fmt!r}")
        wanted = take_indices(len(self.stages), indices)
        maps, last = [], max(wanted)
        x = self.stem(x)
        for i, stage in enumerate(self.stages[: last + 1] if stop_early else self.stages):
            x = stage(x)
            if i in wanted:
                is_last = i == len(self.feature_info) - 1
                maps.append(self.norm(x) if norm and is_last else x)
        if intermediates_only:
            return maps
        return (self.norm(x) if i == len(self.feature_info) - 1 else x), maps

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] | None = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Drop what the maps of ``indices`` do not need, in place; returns these from 0 up."""
        wanted = take_indices(len(self.stages), indices)
        self.stages = self.stages[: max(wanted) + 1]
        if prune_norm:
            self.norm = nn.Identity()
        if prune_head:
            self.head.conv, self.head.norm = nn.Identity(), nn.Identity()
            self.reset_classifier(0)
        return wanted

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier; ``global_pool`` is there for timm and must be "avg" or None."""
        if global_pool not in (None, "avg"):
            raise ValueError(f"the features are pooled by their mean, not by {global_pool!r}")
        self.num_classes = num_classes
        self.head.reset(num_classes)

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Parameters by depth, as timm's layer-wise learning rates want them."""
        blocks = [
            (r"^stages\.(\d+)\.down", (0,)),
            (r"^stages\.(\d+)\.blocks\.(\d+)", None),
            (r"^stages\.(\d+)\.norm", (99_998,)),
            (r"^norm|^head", (99_999,)),
        ]
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" if coarse else blocks}

    def merge(self) -> "StagedBackbone":
        """Fold normalisation and parallel branches for inference, in place; returns itself.

        ``savings`` lists the parts that were folded.
        """
        self.savings = merge_parts(self)
        self.merged = True
        return self
