"""The options of all blocks, their checks, and `create_block`.

A block is ``XBlock(dim, *, mlp_ratio=4.0, drop_path=0.0, resolution=None, <own options>)``:
(B, dim, H, W) -> (B, dim, H, W), with its residual connections inside.

- ``dim``: channels C.
- ``mlp_ratio``: hidden channels of the MLP, in units of ``dim``.
- ``drop_path``: probability of skipping a residual branch of a sample.
- ``resolution``: (H, W) of the maps; only blocks with ``needs_resolution`` use it.
"""

import inspect
from collections.abc import Mapping, Sequence

from torch import nn

from predcnn.checks import hint
from predcnn.registry import BLOCKS

STACK_OPTIONS = ("mlp_ratio", "drop_path", "resolution")


def check_dim(block: str, dim: int, multiple: int) -> None:
    """Raise ValueError unless ``multiple`` divides the channel count ``dim``."""
    if dim < 1 or dim % multiple:
        below = max(dim // multiple, 1) * multiple
        nearest = f"{below} or {below + multiple}"
        raise ValueError(
            f"{block} needs channels divisible by {multiple}, given {dim}; nearest: {nearest}"
        )


def check_options(
    name: str, cls: type, options: Mapping[str, object], implied: Sequence[str]
) -> None:
    """Raise TypeError if an option is not a parameter of ``cls`` or is ``implied``."""
    parameters = inspect.signature(cls).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    accepted = [p.name for p in parameters if p.name not in implied]
    for option in options:
        if option not in accepted:
            listed = ", ".join(accepted) or "none"
            near = hint(option, accepted)
            raise TypeError(f"{name} has no option {option!r}; {near}accepted: {listed}")


def check_protocol(name: str, cls: type) -> None:
    """Raise TypeError unless ``cls`` is a module whose constructor takes dim, `STACK_OPTIONS`."""
    if not issubclass(cls, nn.Module):
        raise TypeError(f"{name} is not a block: it is not a torch.nn.Module")
    parameters = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    missing = [option for option in ("dim", *STACK_OPTIONS) if option not in parameters]
    if missing:
        raise TypeError(
            f"{name} is not a block: its constructor must take (dim, *, mlp_ratio, drop_path, "
            f"resolution), but has no {', '.join(missing)}"
        )


def list_blocks() -> list[str]:
    """Return the names of all registered blocks, sorted."""
    return BLOCKS.names()


def create_block(
    name: str, dim: int, *, resolution: tuple[int, int] | None = None, **options: object
) -> nn.Module:
    """Create a block (B, dim, H, W) -> (B, dim, H, W).

    Args:
        name: one of `predcnn.list_blocks`, or the dotted path of a class.
        dim: channels.
        resolution: (H, W) of the maps; only some blocks need it.
        options: mlp_ratio, drop_path and the block's own options; see its class.

    Raises:
        KeyError: unknown name. TypeError: unknown option. ValueError: dim or size does not fit.
    """
    cls = BLOCKS[name]
    check_protocol(name, cls)
    check_options(name, cls, options, implied=("dim", "resolution"))
    return cls(dim, resolution=resolution, **options)
