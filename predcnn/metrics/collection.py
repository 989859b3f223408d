"""The metrics of a run as one collection in which equal sums are kept once."""

from collections.abc import Iterable, Mapping, Sequence

from torchmetrics import MetricCollection

from predcnn.metrics.streaming import METRICS, FrameMetric

PER_FRAME = "_per_frame"  # suffix of the names that give a curve over lead times

FRAMES = "frames in [0, 1]"  # end of definitions that depend on the values of frames


def metric_class(name: str) -> type[FrameMetric]:
    """Return the class of a name with or without ``_per_frame``; KeyError suggests the closest."""
    return METRICS[name.removesuffix(PER_FRAME)]


def definitions(names: Iterable[str], values: str = "") -> dict[str, str]:
    """Return the definition of each metric; ``values`` replaces "frames in [0, 1]"."""
    texts = {name: metric_class(name).definition for name in names}
    if values:
        texts = {name: f"{t.removesuffix('; ' + FRAMES)}; {values}" for name, t in texts.items()}
    return texts


def split_values(
    values: Mapping[str, float | list[float]], names: Iterable[str]
) -> dict[str, dict[str, float | list[float]]]:
    """Split the computed values of metrics and their curves into ``metrics`` and ``per_frame``."""
    names = list(names)
    return {
        "metrics": {name: values[name] for name in names},
        # torchmetrics makes a number of a curve over one lead time
        "per_frame": {
            name: curve if isinstance(curve := values[name + PER_FRAME], list) else [curve]
            for name in names
        },
    }


def video_metrics(
    names: Iterable[str] = ("mse", "mae", "ssim", "psnr"),
    options: Mapping[str, Mapping[str, object]] | None = None,
    *,
    data_range: Sequence[float] | None = None,
) -> MetricCollection:
    """Create streaming metrics: ``update(pred, target)``, then ``compute()`` -> {name: tensor}.

    Args:
        names: among mse, mae, rmse, ssim, ssim_openstl, psnr, lpips, or a dotted path to a
            ``FrameMetric`` (its value is then named by the class alone); with ``_per_frame``
            appended the value is a (T,) curve, else a scalar.
        options: arguments of single metrics, ``{"lpips": {"backbone_weights": "alexnet.pth"}}``.
        data_range: [low, high] of frames that do not lie in [0, 1], for the metrics that need it
            (ssim, ssim_openstl, psnr); mse, mae and rmse keep the units of the frames.

    pred and target are tensors or arrays (B, T, C, H, W) or (T, C, H, W) in [0, 1], pred unclipped.
    """
    if isinstance(names, str):
        raise TypeError(f"names must be a list of names, such as [{names!r}], not one string")
    names = tuple(names)
    if not names:
        raise ValueError(f"names must list at least one of {', '.join(METRICS.names())}")
    options = dict(options or {})
    unused = set(options) - {name.removesuffix(PER_FRAME) for name in names}
    if unused:
        raise ValueError(f"options for {', '.join(sorted(unused))}, but only {names} are wanted")
    metrics: dict[str, FrameMetric] = {}
    groups: dict[str, list[str]] = {}
    for name in names:
        base = name.removesuffix(PER_FRAME)
        cls = metric_class(name)
        key = name.rpartition(".")[2]  # a module name cannot hold the dots of a path
        own = {"data_range": data_range} if cls.ranged and data_range is not None else {}
        own = {"per_frame": name.endswith(PER_FRAME), **own, **options.get(base, {})}
        metrics[key] = cls(**own)
        groups.setdefault(cls.state_key or base, []).append(key)
    # torchmetrics would group what is equal after the first batch: a perfect one has mse == mae
    return MetricCollection(metrics, compute_groups=list(groups.values()))
