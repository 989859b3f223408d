"""Reading weight files without running code from them, and saying exactly what does not fit."""

import argparse
import difflib
import pickle
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from predcnn.files import check_seal

SHOWN = 20
LARGEST = 1 << 20  # size that an option of a network may have
SLACK = 8  # how much larger than its weights a network may be while it is built


class KeyMismatchError(ValueError):
    """A state dict that does not belong to a module: all that is wrong with it, at once.

    Attributes:
        missing: keys the module has and the state dict has not.
        unexpected: keys the state dict has and the module has not.
        misshaped: (key, given shape, expected shape).
    """

    def __init__(
        self,
        what: str,
        missing: Sequence[str],
        unexpected: Sequence[str],
        misshaped: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.unexpected = list(missing), list(unexpected)
        self.misshaped = list(misshaped)
        unknown = [self._with_hint(key) for key in self.unexpected]
        shapes = [f"{key} is {given}, expected {expected}" for key, given, expected in misshaped]
        parts = [
            _listed("missing", self.missing),
            _listed("unexpected", unknown),
            _listed("of another shape", shapes),
        ]
        super().__init__(f"{what}: " + "; ".join(part for part in parts if part))

    def _with_hint(self, key: str) -> str:
        near = difflib.get_close_matches(key, self.missing, n=1, cutoff=0.8)
        return f"{key} (near the missing {near[0]})" if near else key


def _listed(kind: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    more = f"\n  ... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return f"{len(lines)} {kind}:\n  " + "\n  ".join(lines[:SHOWN]) + more


def check_keys(
    what: str, given: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]
) -> None:
    """Raise `KeyMismatchError` unless ``given`` has just the keys and shapes of ``expected``."""
    strange = [key for key, value in given.items() if not isinstance(value, Tensor)]
    if strange:
        raise ValueError(f"{what}: {strange[:3]} are no tensors")
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    misshaped = [
        (key, tuple(given[key].shape), tuple(shape))
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != tuple(shape)
    ]
    if missing or unexpected or misshaped:
        raise KeyMismatchError(what, missing, unexpected, misshaped)


@contextmanager
def no_larger_than(
    state: Mapping[str, object], config: Mapping[str, object], path: Path
) -> Iterator[None]:
    """Stop building the network of ``config`` once it is far larger than ``state``, its weights.

    So a file that describes a billion layers or a petabyte costs neither time nor memory.

    Raises:
        ValueError: it is.
    """
    largest = max(_integers(config), default=0)
    if largest > LARGEST:
        raise ValueError(f"{path} is damaged: no network has a size of {largest:,}")
    sizes = [value.numel() for value in state.values() if isinstance(value, Tensor)]
    # what is merged or shared is built in parts first
    tensors, numbers = SLACK * len(sizes) + 1_000, SLACK * sum(sizes) + 1_000_000
    builder = threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, numbers
        if parameter is None or threading.get_ident() != builder:
            return
        tensors, numbers = tensors - 1, numbers - parameter.numel()
        if tensors < 0 or numbers < 0:
            raise ValueError(
                f"{path} describes a network far larger than its {len(sizes):,} weights"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _integers(value: object) -> Iterator[int]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, int):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _integers(item)


def existing_file(path: str | Path) -> Path:
    """``path`` if it is a file, else FileNotFoundError that names what lies near it."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, not a file; {_nearby(path, path.name)}")
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"no file {path}: there is no folder {folder}")
    raise FileNotFoundError(f"no file {path}; {_nearby(folder, path.name)}")


def _nearby(folder: Path, name: str) -> str:
    weights = (".ckpt", ".safetensors", ".pth", ".pt")
    names = sorted(p.name for p in folder.iterdir() if p.suffix in weights)
    if not names:
        return "no weight file lies in that folder"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"nearest there: {', '.join(near or names[:5])}"


class _Inert(dict):
    """Stands for an object of a published trainer: takes what it is given and does nothing."""

    def __init__(self, *values: object, **named: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


# What the published trainers store beside the weights: their arguments, and a schedule that kept
# one of its own functions. None of it is needed, and none of it is looked up or called.
PUBLISHED_GLOBALS = [
    argparse.Namespace,
    (_Inert, "builtins.getattr"),
    (_Inert, "torch.optim.lr_scheduler.OneCycleLR"),
    (_Inert, "lightning.fabric.utilities.data.AttributeDict"),
    (_Inert, "lightning_fabric.utilities.data.AttributeDict"),
    (_Inert, "pytorch_lightning.utilities.parsing.AttributeDict"),
]
DAMAGE = (
    RuntimeError, EOFError, ValueError, KeyError, OSError, IndexError, AttributeError, TypeError,
    AssertionError, struct.error,
)  # fmt: skip
"""What reading a damaged torch file raises."""


def read_pickle(path: str | Path) -> object:
    """The content of a torch file, tensors and plain data only, on the CPU.

    Raises:
        ValueError: truncated, altered since `predcnn.files.seal`, of another kind, or holding more
            than tensors and plain data.
    """
    check_seal(Path(path))
    try:
        with torch.serialization.safe_globals(PUBLISHED_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (PermissionError, FileNotFoundError):
        raise
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "GLOBAL" in str(error):
            reason = "it holds Python objects beside tensors and plain data, which are never loaded"
        else:
            reason = "it is damaged or no torch file"
        raise ValueError(f"{path} cannot be read: {reason}") from error
    except DAMAGE as error:
        raise ValueError(f"{path} cannot be read: it is damaged or no torch file") from error


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file, on the CPU; ValueError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read: it is damaged or no safetensors file") from error


def strip_prefixes(
    state: Mapping[str, object], prefixes: Sequence[str] = ("model.", "module.", "_orig_mod.")
) -> dict[str, object]:
    """Take off what wrappers put before every key (Lightning, DDP, torch.compile), in any order."""
    state = dict(state)
    strange = [key for key in state if not isinstance(key, str)]
    if strange:
        raise ValueError(f"no state dict: its keys are names, not {strange[:3]}")
    found = True
    while found and state:
        found = False
        for prefix in prefixes:
            if all(key.startswith(prefix) for key in state):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
                found = True
    return state
