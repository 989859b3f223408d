"""Initial weights of a translator from the blocks of a trained image network.

A stage of a backbone and a stack of the same blocks have tensors of the same shapes where their
widths agree: ``hid_T`` for the inner blocks, T * hid_S for the first and the last.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.translators.meta import MetaTranslator
from predcnn.weights.published import key_map, read_state, same_but_ones


@dataclass(frozen=True)
class BlockWeights:
    """Weights that one block of the translator received."""

    depth: int  # number of the block from 0
    block: str
    width: int
    source: str | None  # name of the block in the checkpoint, or None
    taken: tuple[str, ...]  # names of the copied tensors
    left: tuple[str, ...]  # names of the tensors that stay as initialised

    def __str__(self) -> str:
        head = f"block {self.depth} ({self.block}, width {self.width})"
        if self.source is None:
            return f"{head}: as initialised"
        total = len(self.taken) + len(self.left)
        text = f"{head}: {len(self.taken)} of {total} tensors from {self.source}"
        return f"{text}; of another shape: {', '.join(self.left)}" if self.left else text


@dataclass(frozen=True)
class TakenWeights:
    """Weights that each block received from ``checkpoint``, printable."""

    checkpoint: str
    blocks: tuple[BlockWeights, ...]

    def __str__(self) -> str:
        count = sum(block.source is not None for block in self.blocks)
        title = f"{count} of {len(self.blocks)} translator blocks start from {self.checkpoint}"
        return "\n".join([title, *(f"  {block}" for block in self.blocks)])


@torch.no_grad()
def start_from_backbone(
    translator: nn.Module, path_or_state_dict: str | Path | Mapping[str, object]
) -> TakenWeights:
    """Copy the weights of a backbone's blocks into a stack's and report them.

    Blocks are found in the checkpoint, of the authors, of timm or ours, by their names. The first
    one of a width goes to the stack's first block of that width, and so on. Tensors of another
    shape and blocks without a counterpart stay as initialised.

    Raises:
        TypeError: the translator is not a stack of blocks.
        FileNotFoundError: no such file.
        ValueError: unreadable, or no block of the checkpoint fits; then nothing is changed.
    """
    if not isinstance(translator, MetaTranslator):
        name = type(translator).__name__
        raise TypeError(f"{name} is not a stack of blocks: only a stack starts from a backbone")
    what, state = read_state(path_or_state_dict)
    seen: Counter[tuple[object, ...]] = Counter()
    widths: set[int] = set()
    reports, copies = [], []
    for depth, stage in enumerate(translator.stages):
        own = stage.block.state_dict()
        wide = next(key for key, value in own.items() if value.ndim and len(value) == stage.width)
        found = _blocks_like(stage.block, state)
        widths |= {_rows(tensors[wide]) for _, tensors in found}
        fitting = [source for source in found if _rows(source[1][wide]) == stage.width]
        kind = (*own, stage.width)
        place, given = fitting[seen[kind]] if seen[kind] < len(fitting) else (None, {})
        seen[kind] += 1
        taken = [k for k in own if k in given and same_but_ones(given[k], own[k].shape)]
        left = [key for key in own if key not in taken and not _counts(key)]
        name = type(stage.block).__name__
        reports.append(BlockWeights(depth, name, stage.width, place, tuple(taken), tuple(left)))
        copies += [(own[key], given[key]) for key in taken]
    if not copies:
        raise ValueError(_why_nothing(what, translator, widths))
    for own, tensor in copies:
        own.copy_(tensor.reshape(own.shape))
    return TakenWeights(what, tuple(reports))


def _blocks_like(
    block: nn.Module, state: Mapping[str, Tensor]
) -> list[tuple[str, Mapping[str, Tensor]]]:
    """Return place and tensors, by our names, of the complete blocks of this kind, in order."""
    keys = key_map(block)
    published = {ours: theirs for ours, theirs in keys.names.items() if not _counts(ours)}
    found = {}
    for names in (published, {ours: ours for ours in published}):
        wanted = {theirs: ours for ours, theirs in names.items()}
        places: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            # any number in a key may be that of the block
            for match in re.finditer(r"(?<=\.)\d+\.", key):
                place, rest = key[: match.end() - 1], key[match.end() :]
                ours = wanted.get(rest) or wanted.get(keys.aliases.get(rest, ""))
                if ours:
                    places.setdefault(place, {})[ours] = tensor
        found |= {place: parts for place, parts in places.items() if len(parts) == len(wanted)}
    return [(place, found[place]) for place in sorted(found, key=_natural)]


def _natural(place: str) -> list[object]:
    """Return a sort key that puts 10 after 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", place)]


def _rows(tensor: Tensor) -> int:
    """Return the rows of a weight, or the length of a vector that may be (1, C, 1, 1)."""
    return max(tensor.shape) if tensor.numel() == max(tensor.shape) else len(tensor)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _why_nothing(what: str, translator: MetaTranslator, widths: set[int]) -> str:
    names = ", ".join(sorted({type(stage.block).__name__ for stage in translator.stages}))
    if not widths:
        return f"{what} holds no complete {names} by the authors' names or ours"
    own = sorted({stage.width for stage in translator.stages})
    return (
        f"{what} has {names} of widths {', '.join(map(str, sorted(widths)))}, the translator of "
        f"widths {', '.join(map(str, own))}: choose hid_T or T * hid_S among the first"
    )
