"""Start a translator from the blocks of a trained image network.

A backbone and a translator are built of the same blocks, so the weights of a stage fit the blocks
of a stack of the same width: ``hid_T`` for the inner ones, T * hid_S for the first and the last.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.translators.meta import MetaStage, MetaTranslator
from predcnn.weights.published import key_map, read_state, same_but_ones


@dataclass(frozen=True)
class BlockWeights:
    """What one block of the translator received.

    Args:
        depth: number of the block from 0.
        source: where the block lies in the checkpoint; None if it received nothing.
        taken: names of the tensors that were copied.
        left: names of those whose shapes differ; all of them without a source.
    """

    depth: int
    block: str
    width: int
    source: str | None
    taken: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        head = f"block {self.depth} ({self.block}, width {self.width})"
        if self.source is None:
            return f"{head}: as initialised"
        total = len(self.taken) + len(self.left)
        text = f"{head}: {len(self.taken)} of {total} tensors from {self.source}"
        return f"{text}; of another shape: {', '.join(self.left)}" if self.left else text


@dataclass(frozen=True)
class TakenWeights:
    """What a translator received from a checkpoint, block by block; printable.

    Args:
        checkpoint: the file, or what was given in its place.
        blocks: one entry per block of the translator.
    """

    checkpoint: str
    blocks: tuple[BlockWeights, ...]

    def __str__(self) -> str:
        count = sum(block.source is not None for block in self.blocks)
        title = f"{count} of {len(self.blocks)} translator blocks start from {self.checkpoint}"
        return "\n".join([title, *(f"  {block}" for block in self.blocks)])


@dataclass(frozen=True)
class _Source:
    """One block in the checkpoint, its tensors by our names."""

    place: str
    tensors: Mapping[str, Tensor]


@torch.no_grad()
def start_from_backbone(
    translator: nn.Module, path_or_state_dict: str | Path | Mapping[str, object]
) -> TakenWeights:
    """Copy the weights of a backbone's blocks into a stack's; returns what was taken.

    The checkpoint's blocks are found by their names, the authors' or ours, and only whole. Those of
    a stage that is as wide as a block of the stack go to the stack's blocks of that width, the
    first to the first and so on; tensors of another shape (another ``mlp_ratio``) and blocks beyond
    the stage's depth stay as initialised. Nothing is changed if nothing fits.

    Args:
        path_or_state_dict: a checkpoint of the authors or of timm, or a state dict of ours.

    Raises:
        TypeError: the translator is no stack. FileNotFoundError: no such file.
        ValueError: unreadable, or no block of the checkpoint fits.
    """
    if not isinstance(translator, MetaTranslator):
        raise TypeError(
            f"{type(translator).__name__} is no stack of blocks: only such a translator can start "
            "from a backbone's blocks"
        )
    what, state = read_state(path_or_state_dict)
    seen: Counter[tuple[object, ...]] = Counter()
    widths: set[int] = set()
    reports, copies = [], []
    for depth, stage in enumerate(translator.stages):
        own = stage.block.state_dict()
        wide = next(key for key, value in own.items() if value.ndim and len(value) == stage.width)
        found = _sources(state, stage.block)
        widths |= {_rows(source.tensors[wide]) for source in found}
        fitting = [source for source in found if _rows(source.tensors[wide]) == stage.width]
        kind = (*own, stage.width)
        source = fitting[seen[kind]] if seen[kind] < len(fitting) else None
        seen[kind] += 1
        report = _report(depth, stage, own, source)
        reports.append(report)
        copies += [(own[key], source.tensors[key]) for key in report.taken]
    if not copies:
        raise ValueError(_why_nothing(what, translator, widths))
    for own, tensor in copies:
        own.copy_(tensor.reshape(own.shape))
    return TakenWeights(what, tuple(reports))


def _report(
    depth: int, stage: MetaStage, own: Mapping[str, Tensor], source: _Source | None
) -> BlockWeights:
    """Report which tensors of ``source`` a block can load."""
    tensors = source.tensors if source else {}
    taken = [key for key in own if key in tensors and same_but_ones(tensors[key], own[key].shape)]
    left = [key for key in own if key not in taken and not _counts(key)]
    name, place = type(stage.block).__name__, source.place if source else None
    return BlockWeights(depth, name, stage.width, place, tuple(taken), tuple(left))


def _sources(state: Mapping[str, Tensor], block: nn.Module) -> list[_Source]:
    """Find the complete blocks of this kind in a state dict, ordered by stage and depth."""
    keys = key_map(block)
    published = {ours: theirs for ours, theirs in keys.names.items() if not _counts(ours)}
    spellings = [published, {ours: ours for ours in published}]
    found = {}
    for names in spellings:
        wanted = {theirs: ours for ours, theirs in names.items()}
        places: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            for place, rest in _splits(key):
                ours = wanted.get(rest) or wanted.get(keys.aliases.get(rest, ""))
                if ours:
                    places.setdefault(place, {})[ours] = tensor
        found |= {place: parts for place, parts in places.items() if len(parts) == len(wanted)}
    return [_Source(place, found[place]) for place in sorted(found, key=_natural)]


def _splits(key: str) -> list[tuple[str, str]]:
    """Split a key in every possible way into a block's numbered place and a name inside."""
    return [(key[: m.end() - 1], key[m.end() :]) for m in re.finditer(r"(?<=\.)\d+\.", key)]


def _natural(place: str) -> list[object]:
    """Return a sort key that puts 10 after 9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", place)]


def _rows(tensor: Tensor) -> int:
    """Rows of a weight, or the length of a vector that may be (1, C, 1, 1)."""
    return max(tensor.shape) if tensor.numel() == max(tensor.shape) else len(tensor)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _why_nothing(what: str, translator: MetaTranslator, widths: set[int]) -> str:
    names = ", ".join(sorted({type(stage.block).__name__ for stage in translator.stages}))
    if not widths:
        return f"{what} holds no whole {names} by the authors' names or ours"
    own = sorted({stage.width for stage in translator.stages})
    return (
        f"{what} has {names} of widths {', '.join(map(str, sorted(widths)))}, the translator of "
        f"widths {', '.join(map(str, own))} (T * hid_S at both ends, hid_T inside): none fits; "
        "choose hid_T or hid_S among the first"
    )
