"""Decide whether a compiled kernel may run."""

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from predcnn.native import private
from predcnn.native.build import load

_plain_depth = 0  # a plain global, which torch.compile can trace
FLOATS = {torch.float32: "float32", torch.float64: "float64"}
BYTES = {torch.uint8: "uint8"}
_OWN_MEMORY = {Tensor, torch.nn.Parameter, torch.nn.Buffer}
"""Other tensor types (fakes, wrappers) have no memory of their own."""


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Run the reference implementation of every operator inside, that of the published code."""
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
    """The functions of the library for one type of numbers: ``kernels("scan", *arguments)``."""

    def __init__(self, library: ctypes.CDLL, suffix: str) -> None:
        self._library = library
        self._suffix = suffix
        self._found: dict[str, Callable[..., None]] = {}

    def __call__(self, name: str, *arguments: Tensor | np.ndarray | int | float | None) -> None:
        """Call a function; tensors and arrays are passed as addresses, in the layout it expects.

        The number of threads, the last argument, is torch's.
        """
        function = self._found.get(name) or self._find(name, arguments)
        function(*map(_as_c, arguments), torch.get_num_threads())

    def _find(self, name: str, arguments: Sequence[object]) -> Callable[..., None]:
        """Look up a function; the argument types of the first call hold for all."""
        function = self._library[f"{name}_{self._suffix}"]
        function.argtypes = [*map(_c_type, arguments), ctypes.c_int64]
        function.restype = None
        self._found[name] = function
        return function


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


@functools.cache
def _typed(library: ctypes.CDLL, suffix: str) -> Kernels:
    return Kernels(library, suffix)


def kernels_for(
    first: Tensor, *others: Tensor | None, types: Mapping[torch.dtype, str] = FLOATS
) -> Kernels | None:
    """Return the compiled kernels if they support these tensors, else None.

    They support float32 or float64 (or ``types``), all of one type, on a CPU, in eager mode without
    autocast. Tracing, dispatch modes and function transforms get the operators of the reference
    implementation instead, because a kernel is invisible to them.
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
    """Return the kernels inside an operator that `kernels_for` or `kernels_in_graph` allowed."""
    library = load()
    if isinstance(library, str):
        raise RuntimeError(f"this graph needs predcnn's compiled kernels: {library}")
    return _typed(library, FLOATS[dtype])


def kernels_in_graph(x: Tensor, *, gradients: bool = False) -> bool:
    """Return whether the graph that ``torch.compile`` traces may hold a kernel as one operator.

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
    """Describe whether the compiled kernels are in use; builds them if needed."""
    if lacking := private.missing():
        return f"none: torch {torch.__version__} has no {lacking}"
    library = load()
    return f"none: {library}" if isinstance(library, str) else f"compiled ({_file(library)})"


def _file(library: ctypes.CDLL) -> str:
    return library._name.rsplit("/", 1)[-1]
