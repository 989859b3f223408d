"""Where it is decided whether a fast path may be taken."""

import contextlib
import ctypes
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from predcnn.native.build import load

_plain_depth = 0  # a global number, which torch.compile understands
_TYPES = {torch.float32: "float32", torch.float64: "float64"}


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

    def __call__(self, name: str, *arguments: Tensor | int | float | None) -> None:
        """Tensors go as the address of their memory, which must lie as the kernel expects it.

        The last argument, the number of threads, is torch's.
        """
        function = self._library[f"{name}_{self._suffix}"]
        function(*(_as_c(value) for value in arguments), ctypes.c_int64(torch.get_num_threads()))


def _as_c(value: Tensor | int | float | None) -> object:
    if value is None or isinstance(value, Tensor):
        return ctypes.c_void_p(None if value is None else value.data_ptr())
    return ctypes.c_double(value) if isinstance(value, float) else ctypes.c_int64(value)


def kernels_for(*tensors: Tensor | None) -> Kernels | None:
    """The compiled kernels if they can and may take these tensors, else None: the plain way.

    They take float32 or float64, all of one type, on a CPU, in eager mode without autocast. A
    compiler that traces gets operators that it can see through, and so does who watches them or
    transforms them.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _plain_depth:
        return None
    given = [tensor for tensor in tensors if tensor is not None]
    dtype = given[0].dtype
    if dtype not in _TYPES or torch.is_autocast_enabled("cpu"):
        return None
    if any(t.device.type != "cpu" or t.dtype != dtype or _is_other(t) for t in given):
        return None
    if _get_current_dispatch_mode() is not None or torch._C._are_functorch_transforms_active():
        return None
    library = load()
    return None if isinstance(library, str) else Kernels(library, _TYPES[dtype])


def _is_other(tensor: Tensor) -> bool:
    """Whether this is a subclass (a fake, a wrapper), which has no memory of its own."""
    return type(tensor) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer)


def describe() -> str:
    """In words whether the compiled kernels are in use; builds them if they are not yet."""
    library = load()
    return f"none: {library}" if isinstance(library, str) else f"compiled ({_file(library)})"


def _file(library: ctypes.CDLL) -> str:
    return library._name.rsplit("/", 1)[-1]
