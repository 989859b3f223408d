"""Decide whether a compiled kernel may run, and call it."""

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from predcnn.native import private
from predcnn.native.build import load

_plain_depth = 0  # an int, which torch.compile can trace
FLOATS = {torch.float32: "float32", torch.float64: "float64"}
BYTES = {torch.uint8: "uint8"}
# other tensor types (fakes, wrappers) have no memory of their own
_OWN_MEMORY = {Tensor, torch.nn.Parameter, torch.nn.Buffer}


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Run the reference implementations of all operators inside the context."""
    global _plain_depth
    _plain_depth += 1
    try:
        yield
    finally:
        _plain_depth -= 1


def plain_wanted() -> bool:
    """Return whether this is inside `plain`."""
    return _plain_depth > 0


class Kernels:
    """Kernels for one number type (``suffix``), called as ``kernels("scan", *arguments)``."""

    def __init__(self, library: ctypes.CDLL, suffix: str) -> None:
        self._library, self._suffix = library, suffix
        self._found: dict[str, Callable[..., None]] = {}

    def __call__(self, name: str, *arguments: Tensor | np.ndarray | int | float | None) -> None:
        """Call a kernel with addresses of tensors and arrays; appends torch's number of threads."""
        if name not in self._found:  # the argument types of the first call hold for all
            kind = ctypes.CFUNCTYPE(None, *map(_c_type, arguments), ctypes.c_int64)
            address = ctypes.c_void_p.in_dll(self._library, f"{name}_{self._suffix}").value
            self._found[name] = kind(address)
        self._found[name](*map(_as_c, arguments), torch.get_num_threads())


def _as_c(value: object) -> object:
    if isinstance(value, Tensor):
        return value.data_ptr()
    return value.ctypes.data if isinstance(value, np.ndarray) else value


def _c_type(value: object) -> type:
    if value is None or isinstance(value, Tensor | np.ndarray):
        return ctypes.c_void_p
    if not isinstance(value, int | float):
        raise TypeError(f"a kernel takes tensors, arrays, int, float and None, not {type(value)}")
    return ctypes.c_double if isinstance(value, float) else ctypes.c_int64


_typed = functools.cache(Kernels)


def kernels_for(
    first: Tensor, *others: Tensor | None, types: Mapping[torch.dtype, str] = FLOATS
) -> Kernels | None:
    """Return the compiled kernels if they support these tensors, else None.

    They support tensors of one type, float32 or float64 (or ``types``), on a CPU, in eager mode
    without autocast. Tracing, dispatch modes and function transforms would not see a kernel; they
    get the operators of the reference implementation.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _plain_depth:
        return None
    dtype = first.dtype
    if dtype not in types or torch.is_autocast_enabled("cpu"):
        return None
    tensors = [tensor for tensor in (first, *others) if tensor is not None]
    if not all(t.is_cpu and t.dtype == dtype and type(t) in _OWN_MEMORY for t in tensors):
        return None
    if private.operators_observed():
        return None
    library = load()
    return None if isinstance(library, str) else _typed(library, types[dtype])


def kernels_of(dtype: torch.dtype) -> Kernels:
    """Return the kernels of a type in an operator that a check above or below has allowed."""
    library = load()
    if isinstance(library, str):
        raise RuntimeError(f"this graph needs predcnn's compiled kernels: {library}")
    return _typed(library, FLOATS[dtype])


def kernels_in_graph(x: Tensor, *, gradients: bool = False) -> bool:
    """Return whether the graph that ``torch.compile`` traces may contain a kernel as an operator.

    Only for float tensors on a CPU, not in an exported graph, and with gradients only if the
    operator has ``gradients``.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting() or plain_wanted():
        return False
    if (torch.is_grad_enabled() and not gradients) or torch.is_autocast_enabled("cpu"):
        return False
    return x.device.type == "cpu" and x.dtype in FLOATS and _there_are_kernels()


@torch.compiler.assume_constant_result
def _there_are_kernels() -> bool:
    return not isinstance(load(), str)


def describe() -> str:
    """Return which compiled kernels are in use, or why there are none; builds them if needed."""
    if lacking := private.missing():
        return f"none: torch {torch.__version__} has no {lacking}"
    library = load()
    return (
        f"none: {library}" if isinstance(library, str) else f"compiled ({Path(library._name).name})"
    )
