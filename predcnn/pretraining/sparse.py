"""A masked pass through any convolutional network: it computes on the visible pixels alone.

Tian et al., "Designing BERT for Convolutional Networks: Sparse and Hierarchical Masked Modeling",
ICLR 2023, https://arxiv.org/abs/2301.03580 (sec. 3.1); Woo et al., "ConvNeXt V2", CVPR 2023,
https://arxiv.org/abs/2301.00808 (sec. 3.1). A dense network that sets hidden pixels to zero before
and after every layer gives the results of their sparse convolutions.
"""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from predcnn.native import plain
from predcnn.pretraining.masks import at_size

POINTWISE = """
    add add_ sub sub_ mul mul_ div div_ neg addcmul pow sqrt square clamp where exp
    gelu relu relu_ relu6 silu sigmoid tanh hardtanh leaky_relu hardswish hardsigmoid elu softplus
    dropout bernoulli_
"""
LAYOUT = """
    view reshape permute transpose contiguous flatten unflatten unsqueeze squeeze expand expand_as
    chunk split cat stack __getitem__ __setitem__ to float type_as detach clone
    dim size numel stride is_floating_point is_contiguous promote_types __get__ __len__ _assert
    new_empty new_zeros zeros zeros_like empty ones
"""
HARMLESS = frozenset((POINTWISE + LAYOUT).split())
"""Operations on single pixels, and those that move values or return properties of tensors."""


class SparseContext(TorchFunctionMode):
    """Within ``with SparseContext(mask):`` a network of convolutions sees visible pixels only.

    Convolutions, poolings and linear layers read zeros at hidden pixels and leave zeros there.
    Batch norm and group norm use the statistics of visible pixels, as do means and L2 norms over
    an entire map (squeeze-and-excitation, global context, response normalisation, per image). Layer
    norm works pixel by pixel. With nothing hidden, results are those of the dense network. Windows
    of poolings count hidden pixels as zeros, as in SparK's code. ``mask`` is (B, h, w) bool, True
    where a cell is hidden.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.visible = ~mask
        self._plain = ExitStack()

    def __enter__(self) -> "SparseContext":
        self._plain.enter_context(plain())  # compiled operators hide the operations within
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._plain.close()

    def __torch_function__(
        self,
        func: Callable,
        types: tuple[type, ...],
        args: tuple = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        name = func.__name__
        if name in HANDLERS:
            return HANDLERS[name](self, func, *args, **(kwargs or {}))
        if name in HARMLESS:
            return func(*args, **(kwargs or {}))
        raise ValueError(f"a masked pass cannot go through {name!r}, which may mix hidden pixels")

    def shown(self, x: Tensor, channels_last: bool = False) -> Tensor:
        """Return 1 at the visible and 0 at the hidden pixels of a map, with one channel."""
        size = x.shape[1:3] if channels_last else x.shape[2:4]
        shown = at_size(self.visible, size).to(x.dtype)
        return shown.permute(0, 2, 3, 1) if channels_last else shown

    def hide(self, x: Tensor, channels_last: bool = False) -> Tensor:
        """Set the hidden pixels of a map to zero; a pooled vector (1x1) stays as it is."""
        size = x.shape[1:3] if channels_last else x.shape[2:4]
        return x if tuple(size) == (1, 1) else x * self.shown(x, channels_last)

    def mean(self, x: Tensor, dim: object, keepdim: bool, channels_last: bool = False) -> Tensor:
        shown = self.shown(x, channels_last)
        return (x * shown).sum(dim, keepdim) / shown.sum(dim, keepdim)


def _check_map(x: Tensor, name: str) -> None:
    if x.ndim != 4:
        raise ValueError(
            f"a masked pass needs maps of two dimensions, and {name!r} was given {x.ndim - 2}"
        )


def _window(mode: SparseContext, func: Callable, x: Tensor, *args: object, **kw: object) -> Tensor:
    """Convolution and pooling, (B, C, H, W) -> (B, C', H', W')."""
    _check_map(x, func.__name__)
    return mode.hide(func(mode.hide(x), *args, **kw))


def _last_axis(
    mode: SparseContext, func: Callable, x: Tensor, *args: object, **kw: object
) -> Tensor:
    """Linear layer and layer norm, on (B, H, W, C) or on pooled vectors (B, C)."""
    if func.__name__ == "layer_norm" and len(args[0]) != 1:
        raise ValueError(f"a masked pass cannot go through a layer norm over {tuple(args[0])}")
    if x.ndim == 2:
        return func(x, *args, **kw)
    _check_map(x, func.__name__)
    return mode.hide(func(x, *args, **kw), channels_last=True)


def _batch_norm(
    mode: SparseContext, func: Callable, x: Tensor, *args: object, **kw: object
) -> Tensor:
    """Batch norm of the visible vectors (N, C), put back to their places."""
    _check_map(x, "batch_norm")
    if tuple(x.shape[2:]) == (1, 1):
        return func(x, *args, **kw)
    seen = mode.shown(x)[:, 0].bool()
    pixels = x.permute(0, 2, 3, 1)
    vectors = func(pixels[seen], *args, **kw)
    return vectors.new_zeros(pixels.shape).index_put((seen,), vectors).permute(0, 3, 1, 2)


def _group_norm(
    mode: SparseContext, func: Callable, x: Tensor, groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    _check_map(x, "group_norm")
    shown = mode.shown(x)[:, None]  # (B, 1, 1, H, W)
    parts = x.unflatten(1, (groups, -1))
    count = shown.sum((2, 3, 4), keepdim=True) * parts.shape[2]
    mean = (parts * shown).sum((2, 3, 4), keepdim=True) / count
    var = ((parts - mean) ** 2 * shown).sum((2, 3, 4), keepdim=True) / count
    out = ((parts - mean) * torch.rsqrt(var + eps)).flatten(1, 2)
    if weight is not None:
        out = out * weight[:, None, None]
    return mode.hide(out if bias is None else out + bias[:, None, None])


def _layout(x: Tensor, dim: object, name: str) -> str:
    """Return the axes that ``dim`` reduces: pixels of "NCHW" or "NHWC" maps, or "channels"."""
    if isinstance(dim, int):
        dim = (dim,)
    over = tuple(sorted(d % x.ndim for d in dim)) if dim is not None else ()
    if x.ndim == 4:
        found = {(2, 3): "NCHW", (1, 2): "NHWC", (1,): "channels", (3,): "channels"}.get(over)
        if found is not None:
            return found
    raise ValueError(
        f"a masked pass cannot go through {name!r} over the axes {dim} of {tuple(x.shape)}"
    )


def _mean(
    mode: SparseContext, func: Callable, x: Tensor, dim: object = None, keepdim: bool = False
) -> Tensor:
    layout = _layout(x, dim, "mean")
    if layout == "channels":
        return func(x, dim, keepdim)
    return mode.mean(x, dim, keepdim, layout == "NHWC")


def _norm(mode: SparseContext, func: Callable, x: Tensor, *args: object, **kw: object) -> Tensor:
    """L2 norm of the channels of a pixel, or of all visible pixels."""
    order = args[0] if args else kw.get("p", kw.get("ord", 2))
    layout = _layout(x, args[1] if len(args) > 1 else kw.get("dim"), "norm")
    if order not in (2, "fro"):
        raise ValueError(f"a masked pass supports the L2 norm of a map, not order {order!r}")
    return func(x if layout == "channels" else mode.hide(x, layout == "NHWC"), *args, **kw)


def _pool_to(mode: SparseContext, func: Callable, x: Tensor, size: object) -> Tensor:
    """Adaptive average pooling to one pixel."""
    _check_map(x, func.__name__)
    if size not in (1, (1, 1), [1, 1]):
        raise ValueError(f"a masked pass pools a map to one pixel, not to {size}")
    return mode.mean(x, (2, 3), keepdim=True)


HANDLERS: dict[str, Callable] = {
    **dict.fromkeys(("conv2d", "avg_pool2d", "max_pool2d"), _window),
    **dict.fromkeys(("norm", "linalg_vector_norm"), _norm),
    **dict.fromkeys(("linear", "layer_norm"), _last_axis),
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "mean": _mean,
    "adaptive_avg_pool2d": _pool_to,
}
"""Operations that read more than one pixel, or move zeros away from zero."""
