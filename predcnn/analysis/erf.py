"""Effective receptive field: how much, and from how far, input pixels change an output pixel.

Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016; the measurement and the table of areas as in Ding et al., "Scaling Up Your Kernels to
31x31", CVPR 2022, https://arxiv.org/abs/2203.06717 (sec. 4.1, appendix; 50 images of 1024x1024).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from predcnn.analysis.kind import Figures, Inputs, Kind, per_output
from predcnn.analysis.subject import Subject
from predcnn.visual import Panel, plot_lines, plot_panels

THRESHOLDS = (0.2, 0.3, 0.5, 0.99)
DECADES = {0: "0.001", 1 / 3: "0.01", 2 / 3: "0.1", 1: "1"}  # ticks of the colour bar of `decades`


def effective_receptive_field(
    subject: Subject, x: Tensor, pixel: Sequence[int] | None = None
) -> Tensor:
    """Return the mean contribution of every input pixel to one output pixel, (L, T, H, W), >= 0.

    The output is summed over its channels, its gradient over those of the input.

    Args:
        x: clips from ``subject.enter`` (N, T, C, H, W), one backward pass per clip and output.
        pixel: (row, column) on the response's map; None: the centre, (h // 2, w // 2).
    """
    total = x.new_zeros(len(subject.outputs), x.shape[1], *x.shape[-2:])
    for clip in x:
        entered = clip[None].detach().requires_grad_()
        with torch.enable_grad():
            response = subject.response(entered)
            height, width = response.shape[-2:]
            row, column = pixel or (height // 2, width // 2)
            if not (0 <= row < height and 0 <= column < width):
                raise ValueError(f"pixel {(row, column)} lies outside a map of {height}x{width}")
            at_pixel = response[0, :, :, row, column].sum(1)
        for i, value in enumerate(at_pixel) if at_pixel.requires_grad else ():
            (gradient,) = torch.autograd.grad(
                value, entered, retain_graph=True, materialize_grads=True
            )
            total[i] += subject.magnitude(gradient[0]).sum(1)
    if (total.sum((1, 2, 3)) == 0).any():
        raise ValueError(f"{subject.name}: an output does not depend on the input at all")
    return total / len(x)


def log_contribution(field: Tensor) -> Tensor:
    """Return a field (H, W) on the scale of RepLKNet's table: log10(1 + x) / its largest value."""
    scaled = torch.log10(field + 1)
    return scaled / scaled.max()


def high_contribution_area(
    field: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> dict[float, float | None]:
    """Return the area of the smallest odd centred square whose sum exceeds a share of the total.

    RepLKNet's table uses the `log_contribution` of the field, and no square below 3x3. That
    logarithm depends on the scale of the gradients: compare networks whose outputs differ in scale
    by the field itself.

    Args:
        field: (H, W), >= 0.
        thresholds: shares of the total.

    Returns:
        threshold -> area of the square / (H W); None if no square within the image exceeds it.
    """
    height, width = field.shape
    row, column = height // 2, width // 2
    found = []
    for i in range(min(row, column, height - 1 - row, width - 1 - column) + 1):
        square = field[row - i : row + i + 1, column - i : column + i + 1].double().sum()
        found.append(((2 * i + 1) ** 2 / (height * width), square / field.double().sum()))
    return {t: next((area for area, share in found if share > t), None) for t in thresholds}


def decades(field: Tensor) -> Tensor:
    """Map a field to [0, 1] for display: three powers of ten below its largest value are 0."""
    return (field / field.max().clamp(min=1e-30)).clamp(min=1e-3).log10() / 3 + 1


def frame_shares(field: Tensor) -> Tensor:
    """Return the share of every past frame in each output's field: (L, T, H, W) -> (L, T)."""
    by_frame = field.sum((-2, -1))
    return by_frame / by_frame.sum(1, keepdim=True)


def spread(field: Tensor) -> float:
    """Return the root mean squared distance of a field (H, W) from its centre, in pixels."""
    height, width = field.shape
    rows = torch.arange(height, device=field.device)[:, None] - height // 2
    columns = torch.arange(width, device=field.device) - width // 2
    mean = ((rows**2 + columns**2) * field.double()).sum() / field.double().sum()
    return math.sqrt(mean.item())


@dataclass(frozen=True)
class ERF(Kind):
    """Receptive fields: one map per output, its areas, its share per past frame."""

    definition = (
        "mean over inputs of |gradient| (image networks: its positive part) of one pixel of the "
        "output map, summed over channels; area: share of the image of the smallest centred "
        "square that exceeds a share of log10(1 + x) (area_plain: of x)"
    )
    pixel: Sequence[int] | None = None  # (row, column), see `effective_receptive_field`

    def measure(self, subject: Subject, inputs: Inputs) -> Tensor:
        return effective_receptive_field(subject, subject.enter(inputs.clips), self.pixel).cpu()

    def numbers(self, subject: Subject, field: Tensor) -> dict[str, object]:
        rows = {}
        for name, frames, shares in zip(subject.outputs, field, frame_shares(field), strict=True):
            plane = frames.sum(0)
            areas = {"area": log_contribution(plane), "area_plain": plane}
            rows[name] = {
                key: {str(t): area for t, area in high_contribution_area(values).items()}
                for key, values in areas.items()
            } | {"spread_pixels": spread(plane), "frame_shares": shares.tolist()}
        return {"erf": rows}

    def draw(self, figures: Figures, inputs: Inputs, results: Mapping[Subject, Tensor]) -> None:
        outputs, frames = next(iter(results)).outputs, inputs.clips.shape[1]
        rows = [
            [_overview(field[i].sum(0), "" if i else s.name) for s, field in results.items()]
            for i in range(len(outputs))
        ]
        bar = {"bar": "contribution / largest", "ticks": DECADES}
        plot_panels(figures.path(), rows, outputs if len(outputs) > 1 else (), **bar)
        if frames == 1:
            return
        ages = list(range(1 - frames, 1))
        diagrams = per_output(
            inputs, results, "field", lambda field, i: (ages, frame_shares(field)[i].tolist())
        )
        labels = {"x_label": "past frame (0: the last)", "y_label": "share of the field"}
        plot_lines(figures.path("frames"), diagrams, **labels)
        titles = [f"{age:+d}" if age else "last" for age in ages]
        for subject, field in results.items():
            rows = [
                [Panel(heat=p, title=t) for p, t in zip(decades(part), titles, strict=True)]
                for part in field
            ]
            title = f"{subject.name}: past frames"
            plot_panels(figures.path(subject.name), rows, outputs, title, **bar)


def _overview(plane: Tensor, name: str) -> Panel:
    """Show a field (H, W) summed over past frames, and the area that holds half of it."""
    half = high_contribution_area(plane)[0.5]
    text = "half: –" if half is None else f"half: {half:.1%} of area"
    return Panel(heat=decades(plane), title=f"{name}\n{text}" if name else text)
