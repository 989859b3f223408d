"""Every private function of torch and Lightning that the package calls.

They may change in any release: each is looked up when it is needed and has a replacement.
"""

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor
from torch.autograd import forward_ad

_dispatch = getattr(torch.utils, "_python_dispatch", None)


def operators_observed() -> bool:
    """Return whether dispatch modes, forward-mode AD or functorch transforms are active.

    None of them sees compiled kernels, which therefore must not run then. True if torch cannot
    tell: every operator then runs its reference implementation.
    """
    try:
        return (
            _dispatch._get_current_dispatch_mode() is not None
            or forward_ad._current_level >= 0
            or torch._C._are_functorch_transforms_active()
        )
    except AttributeError:
        return True


def missing() -> str:
    """Return the functions of `operators_observed` that this torch lacks, "" if none."""
    needed = (
        (_dispatch, "_get_current_dispatch_mode"),
        (forward_ad, "_current_level"),
        (torch._C, "_are_functorch_transforms_active"),
    )
    return ", ".join(name for owner, name in needed if not hasattr(owner, name))


class _NoDispatchMode:
    def __init__(self) -> None:
        raise RuntimeError(
            f"torch {torch.__version__} has no TorchDispatchMode, so operators cannot be counted"
        )


# base class of the operator counter of `predcnn.profile`, which raises without it
DispatchMode = getattr(_dispatch, "TorchDispatchMode", _NoDispatchMode)


def profiler_running() -> bool:
    """Return whether a profiler is active; False if torch cannot tell (it then raises itself)."""
    running = getattr(torch.autograd, "_profiler_enabled", None)
    return running is not None and running()


def foreach(
    name: str, tensors: Sequence[Tensor], *arguments: object, **options: object
) -> Sequence[Tensor] | None:
    """Call a method of all tensors at once, or one by one; lists hold one value per tensor."""
    fused = getattr(torch, f"_foreach_{name}", None)
    if fused is not None:
        return fused(tensors, *arguments, **options)
    rows = zip(*(a if isinstance(a, list | tuple) else repeat(a) for a in arguments), strict=False)
    return [getattr(t, name)(*row, **options) for t, row in zip(tensors, rows, strict=False)]


def cluster_environment(trainer: object) -> object | None:
    """Return a trainer's cluster environment, for SLURM's requeue signal; None if unknown."""
    return getattr(getattr(trainer, "_accelerator_connector", None), "cluster_environment", None)
