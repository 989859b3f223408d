"""Selective scan of state space models with interchangeable back ends; cross-scan of maps.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023, section 3;
cross-scan: Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, section 4.2.
"""

import importlib.util
from collections.abc import Callable, Sequence

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from predcnn.checks import one_of
from predcnn.native import plain_wanted
from predcnn.ops.precision import widened, without_autocast
from predcnn.ops.scan_compiled import compiled_scan
from predcnn.ops.scan_parallel import doubling_scan, parallel_scan, textbook_scan

_ORDERS = {"row": "(h w)", "column": "(w h)", "row_reversed": "(h w)", "column_reversed": "(w h)"}
DIRECTIONS = tuple(_ORDERS)
"""Orders in which a map is read; VMamba's cross-scan uses all, in this order."""

_CORES: dict[str, Callable[..., Tensor]] = {
    "compiled": compiled_scan,  # CPUs
    "parallel": parallel_scan,  # GPUs and graphs of torch.compile
    "doubling": doubling_scan,  # exported graphs
    "textbook": textbook_scan,  # the reference implementation
}
BACKENDS = (*_CORES, "mamba_ssm")


def choose_backend(device: torch.device) -> str:
    """Return the fastest back end; mamba-ssm on CUDA if it is installed."""
    if plain_wanted():
        return "textbook"
    if torch.compiler.is_exporting():
        return "doubling"
    if device.type == "cpu":
        return "compiled"
    # mamba-ssm would break a compiled graph
    if device.type == "cuda" and not torch.compiler.is_compiling():
        return "mamba_ssm" if importlib.util.find_spec("mamba_ssm") else "parallel"
    return "parallel"


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Compute y_l = C_l h_l + D u_l, h_l = exp(delta_l A) h_{l-1} + delta_l B_l u_l.

    Runs in float32 (float64 for float64) also under autocast.

    Args:
        u: (batch, channels, L).
        delta: step sizes (batch, channels, L).
        A: (channels, N) real, negative for a decaying state.
        B: (batch, N, L), or (batch, groups, N, L) with each group for its share of the channels.
        C: as B.
        D: (channels,), or None for no skip connection.
        delta_bias: (channels,) added to delta.
        delta_softplus: pass delta (with its bias) through softplus.
        backend: one of `BACKENDS`; None for the fastest, see `choose_backend`.

    Returns:
        (batch, channels, L) in the dtype of u.
    """
    backend = choose_backend(u.device) if backend is None else backend
    one_of("scan back end", backend, BACKENDS)
    B, C = _grouped(u, delta, A, B, C)
    if backend == "mamba_ssm":
        return _mamba_ssm(u, delta, A, B, C, D, delta_bias, delta_softplus)
    with without_autocast(u):
        step = widened(delta) if delta_bias is None else widened(delta) + delta_bias[:, None]
        step = functional.softplus(step) if delta_softplus else step
        y = _time_major(_CORES[backend], u, step, A, B, C)
        return (y if D is None else y + u * D[:, None]).to(u.dtype)


def _mamba_ssm(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *rest: object) -> Tensor:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    (delta, B, C), (D, *others) = (t.to(u.dtype) for t in (delta, B, C)), rest
    return selective_scan_fn(u, delta, A, B, C, D, None, *others)


def _grouped(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Return B and C with an axis of groups; raise ValueError for shapes that do not fit."""
    B, C = (t.unsqueeze(1) if t.ndim == 3 else t for t in (B, C))
    (batch, channels, length), groups = u.shape, B.shape[1]
    fits = delta.shape == u.shape and A.shape[0] == channels and channels % groups == 0
    if not fits or not B.shape == C.shape == (batch, groups, A.shape[1], length):
        given = ", ".join(str(tuple(t.shape)) for t in (u, delta, A, B, C))
        raise ValueError(
            "a scan takes u and delta (batch, channels, L), A (channels, N), B and C "
            f"(batch, groups, N, L) with groups dividing channels, not the shapes {given}"
        )
    return B, C


def _time_major(
    core: Callable[..., Tensor], u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor
) -> Tensor:
    """Call ``core`` in its layout, without D, and convert the result back."""
    grouped = (u.shape[2], u.shape[0], B.shape[1], -1)
    x = (delta * u).permute(2, 0, 1).reshape(grouped)
    delta = delta.permute(2, 0, 1).reshape(grouped)
    A = widened(A).view(B.shape[1], -1, A.shape[1]).transpose(1, 2)  # (G, N, D)
    B, C = (widened(t).permute(3, 0, 1, 2).contiguous() for t in (B, C))
    y = core(delta.contiguous(), x.contiguous(), A.contiguous(), B, C)
    return y.flatten(2).permute(1, 2, 0)


def cross_scan(x: Tensor, directions: Sequence[str] = DIRECTIONS) -> Tensor:
    """Read a map in several directions: (B, C, H, W) -> (B, K, C, H * W), K directions."""

    def read(direction: str) -> Tensor:
        sequence = rearrange(x, f"b c h w -> b c {_ORDERS[direction]}")
        return sequence.flip(-1) if direction.endswith("reversed") else sequence

    return torch.stack([read(direction) for direction in directions], dim=1)


def cross_merge(
    y: Tensor, height: int, width: int, directions: Sequence[str] = DIRECTIONS
) -> Tensor:
    """Sum the directions at each pixel: (B, K, C, height * width) -> (B, C, height, width)."""
    total = 0
    for sequence, direction in zip(y.unbind(1), directions, strict=True):
        if direction.endswith("reversed"):
            sequence = sequence.flip(-1)
        pattern = f"b c {_ORDERS[direction]} -> b c h w"
        total = total + rearrange(sequence, pattern, h=height, w=width)
    return total
