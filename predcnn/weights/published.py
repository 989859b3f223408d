"""Conversion of published weights to ours and back: a rename and a reshape, strict both ways.

A class whose parameter names differ from the published ones declares, with names local to it:

- ``openstl_keys``: {our name or prefix: published name or prefix}; others are equal. Names of
  blocks are the same in OpenSTL and in the authors' repositories.
- ``openstl_ndim``: {our name: number of axes of the published tensor}, where only axes of length 1
  differ (a linear layer and a 1x1 convolution, a channel vector and (1, C, 1, 1)).
- ``openstl_aliases``: {other published name or prefix: published one}, both accepted when loading.
- ``openstl_repeats``: {published prefix: our prefix}, tensors published twice.
- ``unused_openstl_keys``: published names or prefixes that nothing computes with; skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from predcnn.weights.files import (
    check_keys,
    existing_file,
    read_pickle,
    read_safetensors,
    strip_prefixes,
)

WRAPPERS = ("state_dict", "model", "module")  # names of the state dict in checkpoints of trainers


@dataclass
class KeyMap:
    """Published names of a module's state dict."""

    names: dict[str, str] = field(default_factory=dict)  # our key -> published key
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # our key -> published shape
    repeats: dict[str, str] = field(default_factory=dict)  # published key, given twice -> our key
    aliases: dict[str, str] = field(default_factory=dict)  # other published name or prefix -> one
    unused: list[str] = field(default_factory=list)  # published names or prefixes to skip


def key_map(module: nn.Module) -> KeyMap:
    """Compose the declarations of all classes in a module tree."""
    result = KeyMap()
    for key, tensor in module.state_dict().items():
        published, ndim = _published(module, key)
        result.names[key] = published
        result.shapes[key] = _with_ndim(tuple(tensor.shape), ndim)
    for path, part in module.named_modules():
        prefix = _published(module, path)[0] if path else ""
        for name in getattr(part, "unused_openstl_keys", ()):
            result.unused.append(_join(prefix, name))
        for other, name in getattr(part, "openstl_aliases", {}).items():
            result.aliases[_join(prefix, other)] = _join(prefix, name)
        for other, ours in getattr(part, "openstl_repeats", {}).items():
            source = _join(path, ours)
            for key in result.names:
                if _starts(key, source):
                    result.repeats[_join(prefix, other) + key.removeprefix(source)] = key
    return result


def read_state(path_or_state_dict: str | Path | Mapping[str, object]) -> tuple[str, dict]:
    """Return a checkpoint's name for messages, and its state dict without wrappers and prefixes.

    Accepts a file (.pth, .ckpt, .safetensors, ...) or a dict: a raw state dict or one under
    "state_dict", "model" or "module", with the prefixes of Lightning, DDP or torch.compile.
    """
    what, content = "the state dict", path_or_state_dict
    if not isinstance(content, Mapping):
        path = existing_file(content)
        what = str(path)
        content = read_safetensors(path)[1] if path.suffix == ".safetensors" else read_pickle(path)
    while isinstance(content, Mapping):
        inner = [content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{what} holds a {type(content).__name__}, not a state dict")
    state = strip_prefixes(content)
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{what} is not a state dict: {key!r} is {type(value).__name__}")
    return what, state


def load_openstl_weights(
    predictor: nn.Module, path_or_state_dict: str | Path | Mapping[str, object]
) -> nn.Module:
    """Load weights of OpenSTL v0.1 to v1.0 or of MogaNet's repository; return the predictor.

    Index buffers of old timm versions and batch counters are optional. Nothing changes unless
    everything fits.

    Args:
        path_or_state_dict: see `read_state`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, merged, or keys and shapes that do not fit (`KeyMismatchError` lists
            all of them).
    """
    refuse_merged(predictor)
    predictor.load_state_dict(fit_published(predictor, *read_state(path_or_state_dict)))
    return predictor


def fit_published(module: nn.Module, what: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published tensors of `read_state` under our names and in our shapes.

    ``what`` names them in messages. Batch counters may be absent: the module's own are kept.
    """
    keys = key_map(module)
    given = dict(_known(state, keys))
    own = module.state_dict()
    for key, published in keys.names.items():
        if published.endswith("num_batches_tracked"):
            given.setdefault(published, own[key])
    expected = {published: own[key].shape for key, published in keys.names.items()}
    shaped = {
        key: value.reshape(expected[key]) if same_but_ones(value, expected.get(key)) else value
        for key, value in given.items()
    }
    check_keys(f"{what} does not fit {type(module).__name__}", shaped, expected)
    return {key: shaped[name] for key, name in keys.names.items()}


def export_openstl_state_dict(
    module: nn.Module, values: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return a predictor's or backbone's weights under the published names and shapes.

    Args:
        values: tensors by our names to convert instead of the weights, for instance gradients; may
            be incomplete.

    Raises:
        ValueError: merged module.
        KeyError: a name in ``values`` that the module does not have.
    """
    refuse_merged(module)
    keys = key_map(module)
    values = module.state_dict() if values is None else values
    unknown = [key for key in values if key not in keys.names]
    if unknown:
        raise KeyError(f"{type(module).__name__} has no {', '.join(unknown)}")
    exported = {
        keys.names[key]: value.detach().reshape(keys.shapes[key]) for key, value in values.items()
    }
    for published, key in keys.repeats.items():
        if key in values:
            exported[published] = exported[keys.names[key]]
    return exported


def refuse_merged(module: nn.Module) -> None:
    """Raise ValueError for a module after ``merge()``."""
    if getattr(module, "merged", False):
        name = type(module).__name__
        raise ValueError(f"a merged {name} has no published form: convert before merge()")


def same_but_ones(value: Tensor, shape: tuple[int, ...] | None) -> bool:
    """Return whether two shapes differ only in axes of length 1."""
    return shape is not None and [n for n in value.shape if n != 1] == [n for n in shape if n != 1]


def _known(state: Mapping[str, Tensor], keys: KeyMap) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors under the published names, without unused ones."""
    known = set(keys.names.values())
    for key, value in state.items():
        for other, name in keys.aliases.items():
            if _starts(key, other):
                key = name + key.removeprefix(other)
                break
        skipped = key in keys.repeats or any(_starts(key, name) for name in keys.unused)
        if key in known or not skipped:
            yield key, value


def _published(module: nn.Module, path: str) -> tuple[str, int | None]:
    """Return the published name of one of our paths, and the number of axes if it is declared."""
    parts, names, ndim = path.split("."), [], None
    while parts:
        ndim = getattr(module, "openstl_ndim", {}).get(".".join(parts), ndim)
        declared = getattr(module, "openstl_keys", {})
        taken = next((n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in declared), None)
        names.append(declared[".".join(parts[:taken])] if taken else parts[0])
        for part in parts[: taken or 1]:
            module = getattr(module, part, None)
        parts = parts[taken or 1 :]
    return ".".join(name for name in names if name), ndim


def _with_ndim(shape: tuple[int, ...], ndim: int | None) -> tuple[int, ...]:
    """Add or drop axes of length 1; the axis of a vector is that of the channels."""
    if ndim is None or ndim == len(shape):
        return shape
    if ndim < len(shape):
        return shape[:ndim]
    front = (1,) if len(shape) == 1 else ()
    return front + shape + (1,) * (ndim - len(shape) - len(front))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _starts(key: str, prefix: str) -> bool:
    return key == prefix or key.startswith(prefix + ".")
