"""What all blocks share: their options, checks of them, and `create_block`.

A block is ``XBlock(dim, *, mlp_ratio=4.0, drop_path=0.0, resolution=None, <own options>)``:
(B, dim, H, W) -> (B, dim, H, W), with its residual connections inside.

- ``dim``: channels C.
- ``mlp_ratio``: hidden channels of the MLP, in units of ``dim``.
- ``drop_path``: probability of skipping a residual branch of a sample.
- ``resolution``: (H, W) of the maps; only blocks with ``needs_resolution`` use it.
"""

import inspect
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from predcnn.checks import hint
from predcnn.registry import BLOCKS

STACK_OPTIONS = ("mlp_ratio", "drop_path", "resolution")


def check_dim(block: str, dim: int, multiple: int) -> None:
    """Raise ValueError unless ``multiple`` divides the channel count ``dim``."""
    if dim < 1 or dim % multiple:
        below = max(dim // multiple, 1) * multiple
        raise ValueError(
            f"{block} needs channels divisible by {multiple}, given {dim}; "
            f"nearest: {below} or {below + multiple}"
        )


def check_resolution(block: str, resolution: Sequence[int] | None) -> tuple[int, int]:
    """Return ``resolution`` as (H, W); raise ValueError if it is missing."""
    if resolution is None:
        raise ValueError(f"{block} depends on the size of its input: give resolution=(H, W)")
    height, width = resolution
    return int(height), int(width)


def check_size(block: str, x: Tensor, resolution: tuple[int, int]) -> None:
    """Raise ValueError unless the map ``x`` (B, C, H, W) has the size the block was built for."""
    if tuple(x.shape[-2:]) != resolution:
        raise ValueError(
            f"{block} was built for maps of {resolution[0]}x{resolution[1]}, "
            f"given {x.shape[-2]}x{x.shape[-1]}"
        )


def check_options(
    name: str, cls: type, options: Mapping[str, object], implied: Sequence[str]
) -> None:
    """Raise TypeError if ``cls`` takes no option of such a name, listing those it takes.

    ``implied`` names what the caller gives itself and the user therefore may not.
    """
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
    """Raise TypeError unless ``cls`` is a torch module that takes dim and `STACK_OPTIONS`."""
    if not issubclass(cls, nn.Module):
        raise TypeError(f"{name} is no block: it is no torch.nn.Module")
    parameters = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    missing = [option for option in ("dim", *STACK_OPTIONS) if option not in parameters]
    if missing:
        raise TypeError(
            f"{name} is no block: its constructor must take (dim, *, mlp_ratio, drop_path, "
            f"resolution), but has no {', '.join(missing)}"
        )


def list_blocks() -> list[str]:
    """Return the names of all registered blocks, sorted."""
    return BLOCKS.names()


def create_block(
    name: str, dim: int, *, resolution: tuple[int, int] | None = None, **options: object
) -> nn.Module:
    """Create a block (B, dim, H, W) -> (B, dim, H, W) by name or dotted path of its class.

    Args:
        name: see `predcnn.list_translators` (whole translators such as "incepu" are no blocks).
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
