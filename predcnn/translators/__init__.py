"""Translators: the latent past -> the latent future, (B, T * hid_S, H, W) kept."""

import inspect
from collections.abc import Mapping, Sequence

from torch import nn

from predcnn import blocks
from predcnn.checks import unknown
from predcnn.registry import BLOCKS, TRANSLATORS
from predcnn.translators import inception, spacetime
from predcnn.translators.meta import MetaTranslator


def list_translators() -> list[str]:
    """Return every name that ``translator=`` accepts, sorted: blocks and complete translators."""
    return sorted([*BLOCKS.names(), *TRANSLATORS.names()])


def create_translator(
    translator: str | Sequence[str],
    channels: int,
    hidden: int,
    depth: int,
    *,
    resolution: tuple[int, int],
    frames: int = 1,
    mlp_ratio: float = 8.0,
    drop_path: float = 0.0,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """Create a translator (B, channels, H, W) -> (B, channels, H, W), see `MetaTranslator`.

    Args:
        translator: a name of `list_translators`, a dotted path to a block's class, or a list of
            block names.
        frames: T of the channels T * C.
    """
    rest = {"mlp_ratio": mlp_ratio, "drop_path": drop_path, "options": options}
    cls, named = MetaTranslator, isinstance(translator, str)
    if named and translator in TRANSLATORS:
        cls = TRANSLATORS[translator]
    elif named and "." not in translator and translator not in BLOCKS:
        raise KeyError(unknown("translator", translator, list_translators()))
    else:
        rest["blocks"] = translator
    if "frames" in inspect.signature(cls).parameters:
        rest["frames"] = frames
    return cls(channels, hidden, depth, resolution=resolution, **rest)
