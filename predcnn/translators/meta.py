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
from predcnn.checks import unknown
from predcnn.ops.pointwise import PointwiseConv2d
from predcnn.ops.recompute import recomputed
from predcnn.registry import BLOCKS, TRANSLATORS

IMPLIED = ("dim", "mlp_ratio", "drop_path", "resolution")
"""Arguments that the stack passes to its blocks itself."""


def drop_path_schedule(depth: int, last: float) -> list[float]:
    """Return rates linear from 0.01 in the first block to ``last``, as in the reference code."""
    return [1e-2 + (last - 1e-2) * i / (depth - 1) for i in range(depth - 1)] + [last]


class MetaStage(nn.Module):
    """A block, then a 1x1 convolution if the width changes, (B, C_in, H, W) -> (B, C_out, H, W)."""

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
    """``depth`` blocks in sequence, (B, channels, H, W) -> (B, channels, H, W).

    The first block has width ``channels``, the others ``hidden``; where these differ, a 1x1
    convolution follows.

    Attributes:
        recompute: whether training computes every block again in the backward pass, to need memory
            for one block instead of all.

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
            cls = classes[name]
            shared = {"mlp_ratio": mlp_ratio, "drop_path": rates[i], "resolution": resolution}
            if hasattr(cls, "depth_options"):  # those of the n-th block of its kind
                shared |= cls.depth_options(seen[name], width_in != width_out)
            seen[name] += 1
            block = cls(width_in, **(shared | own[name]))
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


def chosen_options(
    translator: str, defaults: Mapping[str, object], options: Mapping[str, object] | None
) -> dict[str, object]:
    """Return ``defaults`` overridden by ``options``; raise TypeError for an unknown option."""
    for option in options or {}:
        if option not in defaults:
            raise TypeError(unknown(f"{translator} option", option, defaults))
    return {**defaults, **(options or {})}


def spread(blocks: str | Sequence[str], depth: int) -> list[str]:
    """Return the names of a stack's blocks from a name, a list, or a pattern that repeats."""
    if not isinstance(blocks, Sequence):
        raise TypeError(f"blocks are named by a string or a list of strings, not by {blocks!r}")
    pattern = [blocks] if isinstance(blocks, str) else list(blocks)
    if not pattern:
        raise ValueError("a stack needs the name of at least one block")
    if len(pattern) > depth:
        raise ValueError(f"{len(pattern)} blocks do not fit a stack of depth {depth} (N_T)")
    for name in pattern:
        if isinstance(name, str) and name in TRANSLATORS:
            blocks = ", ".join(BLOCKS.names())
            raise ValueError(f"{name!r} is a complete translator, not one of the blocks {blocks}")
    return [pattern[i % len(pattern)] for i in range(depth)]


def _options_by_name(
    blocks: str | Sequence[str], names: Sequence[str], options: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """Return the options of each block of the stack."""
    if isinstance(blocks, str):
        return {blocks: dict(options)}
    for key, value in options.items():
        if key not in names or not isinstance(value, Mapping):
            raise ValueError(
                f"options of a mixed stack are {{block: {{option: value}}}} with the blocks "
                f"{', '.join(dict.fromkeys(names))}; given {key!r}: {value!r}"
            )
    return {name: dict(options.get(name, {})) for name in names}
