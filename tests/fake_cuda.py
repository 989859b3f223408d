"""Running modules on fake CUDA tensors: shapes, types and devices without a GPU."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Watch(TorchDispatchMode):
    """Count reads of tensors by the host, and double-precision tensors, except those of CPUs."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.doubles: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type != "cpu":
            self.reads += 1
        out = func(*args, **(kwargs or {}))
        wide = (torch.float64, torch.complex128)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.dtype in wide and leaf.device.type != "cpu":
                self.doubles.append(str(func))
        return out


@contextlib.contextmanager
def fake_cuda() -> Iterator[Watch]:
    """Tensors made inside are fake; reading one, or mixing devices, raises."""
    with FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
        yield watch


def on_cuda(module: nn.Module, *, requires_grad: bool = False) -> dict[str, Tensor]:
    """Fake CUDA tensors for all parameters and buffers of a module; call inside `fake_cuda`."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {
        name: torch.empty_strided(
            value.shape, value.stride(), dtype=value.dtype, device="cuda"
        ).requires_grad_(requires_grad and isinstance(value, nn.Parameter))
        for name, value in tensors
    }


@contextlib.contextmanager
def bfloat16_autocast() -> Iterator[None]:
    """Autocast of CUDA operators, which ``torch.autocast`` refuses where there is no GPU."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
