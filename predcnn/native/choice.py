"""Where it is decided whether a fast path may be taken."""

import contextlib
import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from predcnn.native.build import load

_plain_depth = 0  # a global number, which torch.compile understands
FLOATS = {torch.float32: "float32", torch.float64: "float64"}
BYTES = {torch.uint8: "uint8"}
_OWN_MEMORY = {Tensor, torch.nn.Parameter, torch.nn.Buffer}
"""Other types of tensors (fakes, wrappers) have no memory of their own."""


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """Every operator inside runs its plain formulation, that of the published code."""
    global _plain_depth
    _plain_depth += 1
    try:
        yield
    finally:
        _plain_depth -= 1


def plain_wanted() -> bool:
    """Whether this is inside `plain`."""
    return _plain_depth > 0


class Kernels:
    """The functions of the library for one type of numbers: ``kernels("scan", *arguments)``."""

    def __init__(self, library: ctypes.CDLL, suffix: str) -> None:
        self._library = library
        self._suffix = suffix
        self._found: dict[str, Callable[..., None]] = {}

    def __call__(self, name: str, *arguments: Tensor | np.ndarray | int | float | None) -> None:
        """Tensors and arrays go as the address of their memory, laid out as the kernel expects it.

        The last argument, the number of threads, is torch's.
        """
        function = self._found.get(name) or self._find(name, arguments)
        function(*map(_as_c, arguments), torch.get_num_threads())

    def _find(self, name: str, arguments: Sequence[object]) -> Callable[..., None]:
        """A function with the types of its first call, which are those of every call."""
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
    """The compiled kernels if they can and may take these tensors, else None: the plain way.

    They take float32 or float64 (or ``types``), all of one type, on a CPU, in eager mode without
    autocast. A compiler that traces gets operators that it can see through, and so does who
    watches them or transforms them.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _plain_depth:
        return None
    dtype = first.dtype
    if dtype not in types or torch.is_autocast_enabled("cpu"):
        return None
    for tensor in (first, *others):
        if tensor is not None and not (
            tensor.is_cpu and tensor.dtype == dtype and type(tensor) in _OWN_MEMORY
        ):
            return None
    watched = _get_current_dispatch_mode() is not None or forward_ad._current_level >= 0
    if watched or torch._C._are_functorch_transforms_active():
        return None
    library = load()
    return None if isinstance(library, str) else _typed(library, types[dtype])


def kernels_in_graph(x: Tensor) -> bool:
    """Whether ``torch.compile``, at work now, may take a kernel as one operator without gradients.

    Only for the results of float maps on a CPU, and not in a graph that runs elsewhere.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting() or plain_wanted():
        return False
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    return x.device.type == "cpu" and x.dtype in FLOATS and _there_are_kernels()


@torch.compiler.assume_constant_result
def _there_are_kernels() -> bool:
    return not isinstance(load(), str)


def describe() -> str:
    """In words whether the compiled kernels are in use; builds them if they are not yet."""
    library = load()
    return f"none: {library}" if isinstance(library, str) else f"compiled ({_file(library)})"


def _file(library: ctypes.CDLL) -> str:
    return library._name.rsplit("/", 1)[-1]
