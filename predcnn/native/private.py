"""Every private function of torch and Lightning that the package calls, with its replacement.

Private functions may change in any release. Each is looked up when it is needed; where a release
lacks it, the callers run their reference path, as the comments say.
"""

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor
from torch.autograd import forward_ad

_dispatch = getattr(torch.utils, "_python_dispatch", None)


def operators_observed() -> bool:
    """Return whether dispatch modes, forward-mode AD or functorch see the operators that run.

    Compiled kernels are invisible to all three and must not run then. Without these functions
    nobody can tell: the answer is True, and every operator runs its reference implementation.
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
    """Return the names that `operators_observed` needs and this torch lacks, "" if none."""
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


# Base class of the operator counter of `predcnn.profile`; without it profile raises.
DispatchMode = getattr(_dispatch, "TorchDispatchMode", _NoDispatchMode)


def profiler_running() -> bool:
    """Return whether a profiler is active; False where torch cannot tell, and torch raises then."""
    running = getattr(torch.autograd, "_profiler_enabled", None)
    return running is not None and running()


def foreach(
    name: str, tensors: Sequence[Tensor], *arguments: object, **options: object
) -> Sequence[Tensor] | None:
    """Call the method ``name`` of all tensors in one kernel, or without that kernel one by one.

    Arguments that are lists hold one value per tensor.
    """
    fused = getattr(torch, f"_foreach_{name}", None)
    if fused is not None:
        return fused(tensors, *arguments, **options)
    rows = zip(*(a if isinstance(a, list | tuple) else repeat(a) for a in arguments), strict=False)
    return [getattr(t, name)(*row, **options) for t, row in zip(tensors, rows, strict=False)]


def cluster_environment(trainer: object) -> object | None:
    """Return the cluster environment of a Lightning trainer, which no public attribute gives.

    None where Lightning keeps it elsewhere; a requeue signal of SLURM is then not handled.
    """
    connector = getattr(trainer, "_accelerator_connector", None)
    return getattr(connector, "cluster_environment", None)
