"""Weight files: read without running code from them, checked for keys and shapes."""

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from predcnn.checks import closest
from predcnn.files import check_zip

SHOWN = 20


class KeyMismatchError(ValueError):
    """Differences from an expected state dict; ``misshaped``: (key, given, expected shape)."""

    def __init__(
        self,
        what: str,
        missing: Sequence[str],
        unexpected: Sequence[str],
        misshaped: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.unexpected = list(missing), list(unexpected)
        self.misshaped = list(misshaped)
        shapes = [f"{key} is {given}, expected {expected}" for key, given, expected in misshaped]
        parts = (
            _listed("missing", self.missing),
            _listed("unexpected", self.unexpected, self.missing),
            _listed("of another shape", shapes),
        )
        super().__init__(f"{what}: " + "; ".join(filter(None, parts)))


def _listed(kind: str, lines: Sequence[str], near: Sequence[str] = ()) -> str:
    """Return the first ``lines``, each with the closest name in ``near`` if there is one."""
    if not lines:
        return ""
    more = f"\n  ... and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    found = [(line, closest(line, near, most=1)) for line in lines[:SHOWN]]
    shown = [f"{line} (closest missing: {other[0]})" if other else line for line, other in found]
    return f"{len(lines)} {kind}:\n  " + "\n  ".join(shown) + more


def check_keys(
    what: str, given: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]
) -> None:
    """Raise `KeyMismatchError` unless ``given`` has exactly the keys and shapes of ``expected``."""
    strange = [key for key, value in given.items() if not isinstance(value, Tensor)]
    if strange:
        raise ValueError(f"{what}: {strange[:3]} are not tensors")
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    misshaped = [
        (key, tuple(given[key].shape), tuple(shape))
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != tuple(shape)
    ]
    if missing or unexpected or misshaped:
        raise KeyMismatchError(what, missing, unexpected, misshaped)


def fill(module: nn.Module, what: str, state: Mapping[str, Tensor]) -> None:
    """Load a state dict of exactly the keys and shapes of a module, see `check_keys`."""
    check_keys(what, state, {key: value.shape for key, value in module.state_dict().items()})
    module.load_state_dict(state)


def existing_file(path: str | Path) -> Path:
    """Return ``path`` if it is a file; else raise FileNotFoundError, which suggests close names."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, not a file; {_nearby(path, path.name)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no file {path}: there is no folder {path.parent}")
    raise FileNotFoundError(f"no file {path}; {_nearby(path.parent, path.name)}")


def _nearby(folder: Path, name: str) -> str:
    weights = (".ckpt", ".safetensors", ".pth", ".pt")
    names = sorted(p.name for p in folder.iterdir() if p.suffix in weights)
    if not names:
        return "no weight file lies in that folder"
    return f"closest there: {', '.join(closest(name, names) or names[:5])}"


class _Inert(dict):
    """Placeholder for an object of a trainer: it accepts any arguments and state."""

    def __init__(self, *values: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


# Published checkpoints also store the trainer's arguments and a learning-rate schedule with one of
# its functions. Placeholders stand for them: nothing is looked up or called.
PUBLISHED_GLOBALS = [
    argparse.Namespace,
    (_Inert, "builtins.getattr"),
    (_Inert, "torch.optim.lr_scheduler.OneCycleLR"),
    (_Inert, "lightning.fabric.utilities.data.AttributeDict"),
    (_Inert, "lightning_fabric.utilities.data.AttributeDict"),
    (_Inert, "pytorch_lightning.utilities.parsing.AttributeDict"),
]


def read_pickle(path: str | Path) -> object:
    """Return the tensors (on the CPU) and plain data of a torch file; ValueError for others."""
    with open(path, "rb") as file:
        if file.read(2) == b"PK":
            check_zip(file)  # torch does not compare the checksums
        file.seek(0)
        try:
            with torch.serialization.safe_globals(PUBLISHED_GLOBALS):
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file raises almost anything
            reason = "it is damaged or not a torch file"
            if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
                reason = "it holds Python objects besides plain data, which are never loaded"
            raise ValueError(f"{path} cannot be read: {reason}") from error


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return metadata and tensors of a safetensors file; raise ValueError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read: it is damaged or not a safetensors file"
        ) from error


def strip_prefixes(
    state: Mapping[str, object], prefixes: Sequence[str] = ("model.", "module.", "_orig_mod.")
) -> dict[str, object]:
    """Remove the prefixes of wrappers (Lightning, DDP, torch.compile) from all keys."""
    state = dict(state)
    strange = [key for key in state if not isinstance(key, str)]
    if strange:
        raise ValueError(f"not a state dict: its keys are names, not {strange[:3]}")
    while state:
        prefix = next((p for p in prefixes if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state
