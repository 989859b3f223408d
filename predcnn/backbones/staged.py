"""Skeleton of the hierarchical image networks: stem, stages, pooling, classifier.

A family defines its stem, blocks, downsampling and norms, and their names in published checkpoints.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from predcnn.backbones.features import take_indices
from predcnn.backbones.parts import ClassifierHead, Stage, patches
from predcnn.ops.fold import Mergeable
from predcnn.ops.init import init_trunc_normal
from predcnn.ops.norm import LayerNorm2d
from predcnn.registry import BACKBONES


def presets(**options: Mapping[str, object]) -> Callable[[type], type]:
    """Return a decorator that registers a class under each of these names with its options."""

    def add(cls: type) -> type:
        cls.presets = options
        for name in options:
            BACKBONES.register(name)(cls)
        return cls

    return add


@dataclass(eq=False, repr=False, kw_only=True)
class StagedBackbone(Mergeable, nn.Module):
    """Images (B, in_chans, H, W) -> logits (B, num_classes); any H and W from about 32 up.

    A family is a subclass registered by `presets`. Its annotated fields are options: keyword
    arguments of the constructor and attributes. It defines `make_stem` and `make_down`, optionally
    the other ``make_…`` methods and `initialise`, and declares

    - ``block``: class of the blocks, with ``dim`` and ``drop_path``.
    - ``per_stage``: {option with one value per stage: argument of the block}.
    - ``per_network``: options that every block takes under the same name.
    - ``published_keys``: {our name or prefix: the authors'}; ``{i}`` is the index of a stage from
      0, ``{n}`` the index from 1, ``{p}`` the index of the previous stage.
    - ``deployed``: (ending of a key, class) if the authors also publish merged weights: such a key
      identifies them, and ``merge_`` of the class merges ours.

    Args:
        num_classes: 0 for the pooled features.
        drop_path_rate: of the last block; linear over the depth from 0 in the first.
        dims: channels of each stage.
        depths: number of blocks of each stage.

    Attributes:
        feature_info: timm's list of one dict per stage: num_chs, reduction, module.
        num_features: channels of the last stage.
    """

    presets: ClassVar[dict[str, dict[str, object]]] = {}
    published_keys: ClassVar[dict[str, str]] = {}
    block: ClassVar[type[nn.Module]]
    per_stage: ClassVar[dict[str, str]] = {}
    per_network: ClassVar[tuple[str, ...]] = ()
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
            stages.append(Stage(down, blocks, self.make_stage_norm(dim)))
        head, self.stem = self.make_ends()
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
                    f"{name} is one value per stage like dims {tuple(self.dims)}, not {values}"
                )
        if not 0.0 <= self.drop_path_rate <= 1.0:
            raise ValueError(f"drop_path_rate is a probability, not {self.drop_path_rate}")

    def make_stem(self) -> nn.Module:
        """Return a module (B, in_chans, H, W) -> (B, dims[0], H / 4, W / 4)."""
        raise NotImplementedError

    def make_down(self, dim: int, out: int) -> nn.Module:
        """Return a module (B, dim, H, W) -> (B, out, H / 2, W / 2) between two stages."""
        raise NotImplementedError

    def make_block(self, i: int, j: int, drop_path: float, **own: object) -> nn.Module:
        """Return block ``j`` of stage ``i``, (B, dims[i], H, W) -> (B, dims[i], H, W)."""
        options = {name: getattr(self, name) for name in self.per_network}
        options |= {argument: getattr(self, name)[i] for name, argument in self.per_stage.items()}
        return self.block(self.dims[i], drop_path=drop_path, **(options | own))

    def make_stage_norm(self, dim: int) -> nn.Module:
        return nn.Identity()

    def make_norm(self, dim: int) -> nn.Module:
        """Return the norm of the last map."""
        return nn.Identity()

    def make_head(self) -> ClassifierHead:
        return ClassifierHead(self.dims[-1], self.num_classes)

    def make_ends(self) -> tuple[ClassifierHead, nn.Module]:
        """Return head and stem; their order determines the initial weights of a seed."""
        return self.make_head(), self.make_stem()

    def initialise(self) -> None:
        """Set initial weights that differ from those of the parts."""

    @property
    def openstl_keys(self) -> dict[str, str]:
        """``published_keys`` with the indices of all stages."""
        names = {}
        for ours, theirs in self.published_keys.items():
            for i in range(len(self.stages) if "{i}" in ours else 1):
                names[ours.format(i=i)] = theirs.format(i=i, n=i + 1, p=i - 1)
        return names

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map (B, C, H / 32, W / 32), with the final norm."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.norm(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of the last map, or the input of the last linear layer."""
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
        """Return the result of `forward_features` and the maps of some stages; timm's interface.

        Args:
            indices: the last n stages for an integer, all for None.
            norm: apply the final norm to the map of the last stage.
            stop_early: compute nothing after the last stage in ``indices``.
            output_fmt: only "NCHW".
            intermediates_only: return only the maps.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"feature maps are NCHW, not {output_fmt!r}")
        wanted = take_indices(len(self.stages), indices)
        maps, last = [], len(self.feature_info) - 1
        x = self.stem(x)
        for i, stage in enumerate(self.stages[: max(wanted) + 1] if stop_early else self.stages):
            x = stage(x)
            if i in wanted:
                maps.append(self.norm(x) if norm and i == last else x)
        if intermediates_only:
            return maps
        return (self.norm(x) if i == last else x), maps

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] | None = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Remove layers that the maps of ``indices`` do not need, in place; return the indices."""
        wanted = take_indices(len(self.stages), indices)
        self.stages = self.stages[: max(wanted) + 1]
        if prune_norm:
            self.norm = nn.Identity()
        if prune_head:
            self.head.conv, self.head.norm = nn.Identity(), nn.Identity()
            self.reset_classifier(0)
        return wanted

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Create a new classifier; ``global_pool`` is timm's and must be "avg" or None."""
        if global_pool not in (None, "avg"):
            raise ValueError(f"global_pool is 'avg', not {global_pool!r}")
        self.num_classes = num_classes
        self.head.reset(num_classes)

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Return parameters by depth, for timm's layer-wise learning rates."""
        blocks = [
            (r"^stages\.(\d+)\.down", (0,)),
            (r"^stages\.(\d+)\.blocks\.(\d+)", None),
            (r"^stages\.(\d+)\.norm", (99_998,)),
            (r"^norm|^head", (99_999,)),
        ]
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" if coarse else blocks}


class ConvNeXtLike(StagedBackbone):
    """Skeleton of families derived from ConvNeXt; ``layer_scale``: of residual branches."""

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
        return nn.Sequential(LayerNorm2d(dim), nn.Conv2d(dim, out, 2, stride=2))

    def make_head(self) -> ClassifierHead:
        norm = nn.LayerNorm(self.dims[-1], eps=1e-6)
        return ClassifierHead(self.dims[-1], self.num_classes, norm=norm)

    def initialise(self) -> None:
        init_trunc_normal(self)
