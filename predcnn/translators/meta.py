"""A stack of interchangeable blocks over the latent frames, joined along the channels.

Tan et al., "SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning", 2022,
https://arxiv.org/abs/2211.12509 (fig. 3); Tan et al., "OpenSTL", 2023,
https://arxiv.org/abs/2306.11249 (sec. 3: MetaFormers as translators).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from predcnn.blocks.protocol import check_options, check_protocol
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.ops.recompute import recomputed
from predcnn.registry import BLOCKS, TRANSLATORS

IMPLIED = ("dim", "mlp_ratio", "drop_path", "resolution")
"""Arguments that the stack passes to its blocks itself."""


def drop_path_schedule(depth: int, last: float) -> list[float]:
    """Return rates linear from 0.01 to ``last``, which the last block takes, as published.

    So stochastic depth is active in the first blocks even with ``last`` = 0.
    """
    return [1e-2 + (last - 1e-2) * i / (depth - 1) for i in range(depth - 1)] + [last]


class MetaStage(nn.Module):
    """A block, and where the width changes a 1x1 convolution behind it.

    (B, C_in, H, W) -> (B, C_out, H, W).
    """

    openstl_keys: ClassVar[dict[str, str]] = {"project": "reduction"}

    def __init__(self, block: nn.Module, width_in: int, width_out: int) -> None:
        super().__init__()
        self.width = width_in
        self.block = block
        same = width_in == width_out
        self.project = nn.Identity() if same else PointwiseConv2d(width_in, width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.block(x))


class MetaTranslator(nn.Module):
    """``depth`` blocks in a row, (B, channels, H, W) -> (B, channels, H, W); no shortcut around.

    The first block works at width ``channels``, all others at ``hidden``, with 1x1 convolutions in
    between where these differ.

    Attributes:
        recompute: whether training computes every block again in the backward pass, which needs
            memory for one block instead of all.

    Args:
        channels: frames times channels per frame, T * hid_S.
        hidden: width of the inner blocks.
        depth: number of blocks, at least 2.
        blocks: a block's name or dotted path, or a sequence of them, one per depth or a shorter
            pattern that repeats.
        resolution: (H, W) of the latent maps.
        mlp_ratio: hidden channels of the MLPs, in units of the width.
        drop_path: of the last block, see `drop_path_schedule`.
        options: the block's own options; for a sequence {block's name: its options}.
    """

    openstl_keys: ClassVar[dict[str, str]] = {"stages": "enc"}
    recompute = False

    def __init__(
        self,
        channels: int,
        hidden: int,
        depth: int,
        *,
        blocks: str | Sequence[str],
        resolution: tuple[int, int],
        mlp_ratio: float = 8.0,
        drop_path: float = 0.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"a stack has at least 2 blocks (N_T), not {depth}")
        names = spread(blocks, depth)
        classes = {name: BLOCKS[name] for name in dict.fromkeys(names)}
        own = _options_by_name(blocks, names, options or {})
        for name, cls in classes.items():
            check_protocol(name, cls)
            check_options(name, cls, own[name], implied=IMPLIED)
        widths = [channels, *[hidden] * (depth - 1), channels]
        rates = drop_path_schedule(depth, drop_path)
        seen: Counter[str] = Counter()
        stages = []
        for i, name in enumerate(names):
            width_in, width_out = widths[i : i + 2]
            at_depth = _depth_options(classes[name], seen[name], width_in != width_out)
            seen[name] += 1
            shared = {"mlp_ratio": mlp_ratio, "drop_path": rates[i], "resolution": resolution}
            block = classes[name](width_in, **shared, **(at_depth | own[name]))
            stages.append(MetaStage(block, width_in, width_out))
        self.stages = nn.Sequential(*stages)
        self.needs_resolution = any(
            getattr(cls, "needs_resolution", False) for cls in classes.values()
        )

    def forward(self, x: Tensor) -> Tensor:
        if not (self.recompute and self.training):
            return self.stages(x)
        for stage in self.stages:
            x = recomputed(stage, x)
        return x


def spread(blocks: str | Sequence[str], depth: int) -> list[str]:
    """Spread a name, a list of ``depth`` names or a shorter pattern over the blocks of a stack."""
    if not isinstance(blocks, Sequence):
        raise TypeError(f"blocks are named by a string or a list of strings, not by {blocks!r}")
    pattern = [blocks] if isinstance(blocks, str) else list(blocks)
    if not pattern:
        raise ValueError("a stack needs the name of at least one block")
    if len(pattern) > depth:
        raise ValueError(
            f"{len(pattern)} blocks for a stack of depth {depth} (N_T); give one name per depth "
            "or a shorter pattern that repeats"
        )
    for name in pattern:
        if isinstance(name, str) and name in TRANSLATORS:
            raise ValueError(
                f"{name!r} is a whole translator and cannot be one block of a stack; "
                f"blocks: {', '.join(BLOCKS.names())}"
            )
    return [pattern[i % len(pattern)] for i in range(depth)]


def _depth_options(cls: type, index: int, changes_width: bool) -> dict[str, object]:
    """Return the options that a class declares for the ``index``-th of its kind in a stack."""
    declared = getattr(cls, "depth_options", None)
    return declared(index, changes_width) if declared else {}


def _options_by_name(
    blocks: str | Sequence[str], names: Sequence[str], options: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """Return the own options of each block of the stack."""
    if isinstance(blocks, str):
        return {blocks: dict(options)}
    for key, value in options.items():
        if key not in names or not isinstance(value, Mapping):
            raise ValueError(
                f"options of a mixed stack are {{block: {{option: value}}}} with the blocks "
                f"{', '.join(dict.fromkeys(names))}; given {key!r}: {value!r}"
            )
    return {name: dict(options.get(name, {})) for name in names}
