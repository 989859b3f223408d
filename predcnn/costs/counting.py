"""Parameters and multiply–adds of a module.

"FLOPs (G)" in published tables are multiply–adds of one sequence as fvcore counts them. `profile`
gives that number (``macs_published``) and the complete one (``macs``), from the operators of one
run. A module whose operators differ from its mathematics corrects the count by optional attributes:

``uncounted_by_fvcore = True``
    What runs inside counts in ``macs`` only. (Convolutions with ``padding="same"``, which fvcore
    skips, are detected.)
``published_macs(self, counted, *input_shapes) -> int``
    The count of the reference code; ``counted`` is what was counted inside.
``true_macs(self, *input_shapes) -> int``
    The multiply–adds of the mathematics where a fast algorithm runs other operators. Subclasses of
    PyTorch's convolutions need none: they count by their weight.
``unused_published_params = n``
    Number of parameters that only the reference code has, and never uses.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

from predcnn.costs.measuring import evaluating, first_tensor
from predcnn.native.private import DispatchMode

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


@dataclass(frozen=True)
class Profile:
    """Costs of one sample; multiply–adds are integers.

    Args:
        params: number of parameters, shared ones once.
        params_published: with unused parameters of the reference code.
        macs: multiply–adds of every convolution, linear map and matrix product.
        macs_published: by fvcore's convention: as ``macs`` without convolutions of
            ``padding="same"``, with BatchNorm 2, GroupNorm and LayerNorm 5 per element (1 and 4
            without affine parameters), adaptive pooling 1 per input, nearest and bilinear
            resizing and grid sampling 1, 4 and 4 per output element.
        by_operator: operator -> (its part of ``macs``, of ``macs_published``).
    """

    params: int
    params_published: int
    macs: int
    macs_published: int
    by_operator: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [("operator", "multiply–adds", "published count")]
        rows += [(name, f"{a:,}", f"{b:,}") for name, (a, b) in self.by_operator.items()]
        rows.append(("together", f"{self.macs:,}", f"{self.macs_published:,}"))
        rows.append(("parameters", f"{self.params:,}", f"{self.params_published:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(
            f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows
        )


def _product(args: tuple, out: Tensor) -> int:
    a, b = args[-2:]
    return a.numel() * (b.shape[-1] if b.ndim > 1 else 1)


def _convolution(args: tuple, out: Tensor) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return len(x) * weight.numel() * prod((x if transposed else out).shape[2:])


def _attention(args: tuple, out: Tensor) -> int:
    q, k, v = args[:3]
    return prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


def _norm(weight: int) -> Callable[[tuple, Tensor], int]:
    return lambda args, out: args[0].numel() * (4 if args[weight] is None else 5)


def _batch_norm(args: tuple, out: Tensor) -> int:
    affine = args[1] is not None
    if not isinstance(args[3], Tensor):  # no running statistics: an instance norm
        return args[0].numel() * (5 if affine else 4)
    return args[0].numel() * (2 if affine else 1)


def _per_output(cost: int) -> Callable[[tuple, Tensor], int]:
    return lambda args, out: cost * out.numel()


_PRODUCTS = ("mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv")
_ATTENTIONS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
_BATCH_NORMS = (
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm",
    "miopen_batch_norm",
)
_MACS = {
    "convolution": ("conv", _convolution),
    **dict.fromkeys(_PRODUCTS, ("matmul", _product)),
    **dict.fromkeys(_ATTENTIONS, ("matmul", _attention)),
}
_PUBLISHED_ONLY = {
    **dict.fromkeys(_BATCH_NORMS, ("batch_norm", _batch_norm)),
    "native_group_norm": ("group_norm", _norm(1)),
    "native_layer_norm": ("layer_norm", _norm(2)),
    "_adaptive_avg_pool2d": ("adaptive_avg_pool2d", lambda args, out: args[0].numel()),
    "upsample_nearest2d": ("upsample", _per_output(1)),
    "upsample_bilinear2d": ("upsample", _per_output(4)),
    "grid_sampler_2d": ("grid_sampler", _per_output(4)),
}


class _Watch(DispatchMode):
    """Counts the operators that run; modules correct the count by their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.macs: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self._entered: list[tuple[nn.Module, Counter, Counter]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        known = func.namespace == "aten" and (name in _MACS or name in _PUBLISHED_ONLY)
        if not known:
            with self:
                out = func.decompose(*args, **(kwargs or {}))
            if out is not NotImplemented:
                return out
        out = func(*args, **(kwargs or {}))
        if known:
            operator, count = _MACS.get(name) or _PUBLISHED_ONLY[name]
            inside = self._entered[-1][0] if self._entered else None
            if operator == "matmul" and isinstance(inside, nn.Linear):
                operator = "linear"
            n = count(args, out[0] if isinstance(out, tuple) else out)
            self.published[operator] += n
            if name in _MACS:
                self.macs[operator] += n
        return out

    def enter(self, module: nn.Module, args: tuple) -> None:
        self._entered.append((module, self.macs.copy(), self.published.copy()))

    def leave(self, module: nn.Module, args: tuple, out: object) -> None:
        _, macs, published = self._entered.pop()
        shapes = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
        if isinstance(module, CONVOLUTIONS):
            spatial = shapes[0] if isinstance(module, TRANSPOSED) else tuple(out.shape)
            axes = len(module.kernel_size)
            samples = len(out) if out.ndim == axes + 2 else 1
            n = module.weight.numel() * prod(spatial[-axes:]) * samples
            self.macs, self.published = macs + Counter(conv=n), published + Counter(conv=n)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            self.published = published + Counter(adaptive_avg_pool2d=prod(shapes[0]))
        if hasattr(module, "true_macs"):
            n = module.true_macs(*shapes)
            self.macs, self.published = macs + Counter(declared=n), published + Counter(declared=n)
        same = isinstance(module, CONVOLUTIONS) and module.padding == "same"
        if same or getattr(module, "uncounted_by_fvcore", False):
            self.published = published
        if hasattr(module, "published_macs"):
            counted = self.published.total() - published.total()
            n = module.published_macs(counted, *shapes)
            self.published = published + Counter(declared=n)


def profile(module: nn.Module, input_shape: tuple[int, ...]) -> Profile:
    """Count parameters and multiply–adds of one sample in eval mode; the module does not change.

    If the module has ``published_pass``, the computation of the reference code, ``macs_published``
    counts that.

    Args:
        input_shape: of one sample without the batch axis: (T, C, H, W) or (C, H, W).
    """
    like = first_tensor(module)
    x = torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)
    watch = _counted(module, module, x)
    published = watch.published
    if hasattr(module, "published_pass"):
        published = _counted(module, module.published_pass, x).published
    params = sum(p.numel() for p in module.parameters())
    unused = sum(getattr(part, "unused_published_params", 0) for part in module.modules())
    names = sorted({*watch.macs, *published})
    return Profile(
        params=params,
        params_published=params + unused,
        macs=watch.macs.total(),
        macs_published=published.total(),
        by_operator={name: (watch.macs[name], published[name]) for name in names},
    )


def _counted(module: nn.Module, call: Callable[[Tensor], Tensor], x: Tensor) -> _Watch:
    """Return the counts of ``call``, of this module, on ``x``."""
    watch = _Watch()
    hooks = []
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    try:
        # the fused path of nn.MultiheadAttention is one operator that hides its matrix products
        torch.backends.mha.set_fastpath_enabled(False)
        for part in module.modules():
            hooks.append(part.register_forward_pre_hook(watch.enter))
            hooks.append(part.register_forward_hook(watch.leave))
        with evaluating(module), watch:
            call(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)
        for hook in hooks:
            hook.remove()
    return watch
