"""The one skeleton of all hierarchical image networks: stem, stages, pooling, classifier.

A family defines its stem, blocks, downsampling and norms, and their names in published checkpoints;
everything else, the feature interface of timm included, is here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.backbones.features import take_indices
from predcnn.backbones.parts import ClassifierHead, Stage, norm_patches, patches
from predcnn.ops.fold import Mergeable
from predcnn.ops.init import init_trunc_normal
from predcnn.registry import BACKBONES


def presets(**options: Mapping[str, object]) -> Callable[[type], type]:
    """Decorator that registers a family's class under each of these names with its options."""

    def add(cls: type) -> type:
        cls.presets = options
        for name in options:
            BACKBONES.register(name)(cls)
        return cls

    return add


@dataclass(eq=False, repr=False, kw_only=True)
class StagedBackbone(Mergeable, nn.Module):
    """Images (B, in_chans, H, W) -> logits (B, num_classes); any H and W from about 32 up.

    A family is a subclass that `presets` registers. Its annotated fields are options: they become
    keyword arguments of the constructor and attributes. It defines `make_stem`, `make_down` and
    `make_block`, where needed the other methods ``make_…`` and `initialise`, and declares

    - ``published_keys``: {our name or prefix: the authors'}, where ``{i}`` stands for a stage's
      number from 0, ``{n}`` for that from 1 and ``{p}`` for that of the stage before. Blocks have
      their own.
    - ``per_stage``: names of options that are one value per stage.
    - ``deployed``: (a key's ending, a class) where the authors also publish merged weights: such a
      key marks them, and the class's ``merge_`` gives ours the same form.

    Args:
        num_classes: classes; 0 for the pooled features.
        in_chans: channels of the images.
        drop_path_rate: of the last block; linear over the depth from 0 in the first.
        dims: channels of each stage.
        depths: number of blocks of each stage.

    Attributes:
        feature_info: one dict per stage, as timm has it: num_chs, reduction, module.
        num_features: channels of the last stage. num_classes: of the classifier.
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {}
    published_keys: ClassVar[dict[str, str]] = {}
    per_stage: ClassVar[tuple[str, ...]] = ()
    deployed: ClassVar[tuple[str, type] | None] = None

    num_classes: int = 1000
    in_chans: int = 3
    drop_path_rate: float = 0.0
    dims: Sequence[int]
    depths: Sequence[int]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(eq=False, repr=False, kw_only=True)(cls)

    def __post_init__(self) -> None:
        super().__init__()
        self._check()
        rates = torch.linspace(0, self.drop_path_rate, sum(self.depths), device="cpu").tolist()
        stages = []
        for i, (dim, depth) in enumerate(zip(self.dims, self.depths, strict=True)):
            down = self.make_down(self.dims[i - 1], dim) if i else nn.Identity()
            blocks = [self.make_block(i, j, rates.pop(0)) for j in range(depth)]
            stages.append(Stage(dim, down, blocks, self.make_stage_norm(dim)))
        head, stem = self.make_ends()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.norm = self.make_norm(self.dims[-1])
        self.head = head
        self.num_features = self.dims[-1]
        self.feature_info = [
            {"num_chs": dim, "reduction": 4 * 2**i, "module": f"stages.{i}"}
            for i, dim in enumerate(self.dims)
        ]
        self.initialise()

    def _check(self) -> None:
        for name in ("depths", *self.per_stage):
            values = getattr(self, name)
            if not self.dims or len(values) != len(self.dims):
                raise ValueError(
                    f"{name} is one value per stage, as many as dims {tuple(self.dims)}, "
                    f"not {values}"
                )
        if not 0.0 <= self.drop_path_rate <= 1.0:
            raise ValueError(
                f"drop_path_rate is a probability in [0, 1], not {self.drop_path_rate}"
            )

    def make_stem(self) -> nn.Module:
        """Images (B, in_chans, H, W) -> (B, dims[0], H / 4, W / 4)."""
        raise NotImplementedError

    def make_down(self, dim: int, out: int) -> nn.Module:
        """The downsampling between two stages, (B, dim, H, W) -> (B, out, H / 2, W / 2)."""
        raise NotImplementedError

    def make_block(self, i: int, j: int, drop_path: float) -> nn.Module:
        """The ``j``-th block of stage ``i``, (B, dims[i], H, W) -> (B, dims[i], H, W)."""
        raise NotImplementedError

    def make_stage_norm(self, dim: int) -> nn.Module:
        """The norm at the end of a stage."""
        return nn.Identity()

    def make_norm(self, dim: int) -> nn.Module:
        """The norm of the last map."""
        return nn.Identity()

    def make_head(self) -> ClassifierHead:
        """The pooling and the classifier."""
        return ClassifierHead(self.dims[-1], self.num_classes)

    def make_ends(self) -> tuple[ClassifierHead, nn.Module]:
        """Head and stem; the order in which they are made decides the initial weights of a seed."""
        return self.make_head(), self.make_stem()

    def initialise(self) -> None:
        """Set the initial weights where they are not those of the parts."""

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


class ConvNeXtLike(StagedBackbone):
    """The skeleton of the families that descend from ConvNeXt; see `StagedBackbone`.

    Args:
        layer_scale: initial factor of the residual branches.
    """

    published_keys: ClassVar[dict[str, str]] = {
        "stem": "downsample_layers.0",
        "stages.{i}.down": "downsample_layers.{i}",
        "stages.{i}.blocks": "stages.{i}",
        "head.norm": "norm",
        "head.fc": "head",
    }

    layer_scale: float = 1e-6

    def make_stem(self) -> nn.Module:
        return patches(self.in_chans, self.dims[0], 4)

    def make_down(self, dim: int, out: int) -> nn.Module:
        return norm_patches(dim, out)

    def make_head(self) -> ClassifierHead:
        norm = nn.LayerNorm(self.dims[-1], eps=1e-6)
        return ClassifierHead(self.dims[-1], self.num_classes, norm=norm)

    def initialise(self) -> None:
        init_trunc_normal(self)
