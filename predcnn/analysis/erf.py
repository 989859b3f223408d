"""Effective receptive field: how much each input pixel changes an output pixel, and how far away.

Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016; the measurement and the table of areas as in Ding et al., "Scaling Up Your Kernels to
31x31", CVPR 2022, https://arxiv.org/abs/2203.06717 (sec. 4.1, appendix; 50 images of 1024x1024).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from predcnn.analysis.kind import Inputs, Kind, array
from predcnn.analysis.subject import Subject
from predcnn.visual import Panel, plot_lines, plot_panels

THRESHOLDS = (0.2, 0.3, 0.5, 0.99)


def effective_receptive_field(
    subject: Subject, x: Tensor, pixel: Sequence[int] | None = None
) -> Tensor:
    """Mean contribution of every input pixel to one pixel of every output, (L, T, H, W), >= 0.

    The response at that pixel is summed over its channels, its gradient over those of the input.

    Args:
        x: entered clips (N, T, C, H, W), one backward pass per clip and output.
        pixel: (row, column) on the response's map; None: the centre, (h // 2, w // 2).
    """
    total = x.new_zeros(len(subject.outputs), x.shape[1], *x.shape[-2:])
    for clip in x:
        entered = clip[None].detach().requires_grad_()
        with torch.enable_grad():
            response = subject.response(entered)
            row, column = _inside(pixel, response.shape[-2:])
            at_pixel = response[0, :, :, row, column].sum(1)
        for i, value in enumerate(at_pixel) if at_pixel.requires_grad else ():
            (gradient,) = torch.autograd.grad(
                value, entered, retain_graph=True, materialize_grads=True
            )
            total[i] += subject.magnitude(gradient[0]).sum(1)
    if (total.sum((1, 2, 3)) == 0).any():
        raise ValueError(f"{subject.name}: an output does not depend on the input at all")
    return total / len(x)


def _inside(pixel: Sequence[int] | None, size: Sequence[int]) -> tuple[int, int]:
    row, column = pixel or (size[0] // 2, size[1] // 2)
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise ValueError(f"pixel {(row, column)} lies outside a map of {size[0]}x{size[1]}")
    return row, column


def log_contribution(field: Tensor) -> Tensor:
    """The published scale of a field (H, W): log10(1 + x) divided by its largest value."""
    scaled = torch.log10(field + 1)
    return scaled / scaled.max()


def high_contribution_area(
    field: Tensor, thresholds: Sequence[float] = THRESHOLDS
) -> dict[float, float | None]:
    """Share of the image that the smallest odd square around its centre takes to reach a sum.

    The published table takes `log_contribution` of the field, and no square below 3x3. Its
    logarithm depends on the scale of the gradients: networks whose outputs differ in scale compare
    better by the plain field.

    Args:
        field: (H, W), >= 0.
        thresholds: shares of the field's total that the square has to exceed.

    Returns:
        threshold -> area of the square / (H W); None where no square within the image exceeds it.
    """
    height, width = field.shape
    row, column = height // 2, width // 2
    sides = range(min(row, column, height - 1 - row, width - 1 - column) + 1)
    total = field.double().sum()
    shares = [
        (field[row - i : row + i + 1, column - i : column + i + 1].double().sum() / total).item()
        for i in sides
    ]
    areas: dict[float, float | None] = {}
    for threshold in thresholds:
        reached = next((i for i, share in enumerate(shares) if share > threshold), None)
        areas[threshold] = None if reached is None else (2 * reached + 1) ** 2 / (height * width)
    return areas


def decades(field: Tensor, count: int = 3) -> Tensor:
    """A field for the eye: 1 at its largest value, 0 where it is ``count`` powers of ten below."""
    low = 10.0**-count
    return (field / field.max().clamp(min=1e-30)).clamp(min=low).log10() / count + 1


def frame_shares(field: Tensor) -> Tensor:
    """Share of every past frame in each output's field: (L, T, H, W) -> (L, T), rows sum to 1."""
    by_frame = field.sum((-2, -1))
    return by_frame / by_frame.sum(1, keepdim=True)


def spread(field: Tensor, pixel: Sequence[int] | None = None) -> float:
    """Root of the mean squared distance in pixels from ``pixel`` (None: the centre), weighted."""
    height, width = field.shape
    row, column = pixel or (height // 2, width // 2)
    rows = torch.arange(height, device=field.device)[:, None] - row
    columns = torch.arange(width, device=field.device)[None] - column
    mean = ((rows**2 + columns**2) * field.double()).sum() / field.double().sum()
    return math.sqrt(mean.item())


@dataclass(frozen=True)
class ERF(Kind):
    """Receptive fields: one map per output, its areas, its share per past frame.

    Args:
        pixel: (row, column), see `effective_receptive_field`.
    """

    name = "erf"
    definition = (
        "mean over inputs of |gradient| (image networks: its positive part) of one pixel of the "
        "output map, summed over channels; area: share of the image of the smallest centred "
        "square that exceeds a share of log10(1 + x) (area_plain: of x)"
    )
    pixel: Sequence[int] | None = None

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

    def draw(self, folder: Path, inputs: Inputs, results: Mapping[Subject, Tensor]) -> list[str]:
        outputs, frames = next(iter(results)).outputs, inputs.clips.shape[1]
        rows = [
            [_overview(field[i].sum(0), "" if i else s.name) for s, field in results.items()]
            for i in range(len(outputs))
        ]
        plot_panels(folder / self.file(), rows, outputs if len(outputs) > 1 else ())
        if frames == 1:
            return [self.file()]
        written, ages = [self.file(), self.file("frames")], list(range(1 - frames, 1))
        diagrams = {
            f"lead time {output}": {
                s.name: (ages, frame_shares(field)[i].tolist()) for s, field in results.items()
            }
            for i, output in enumerate(outputs)
        }
        labels = {"x_label": "past frame (0: the last)", "y_label": "share of the field"}
        plot_lines(folder / written[1], diagrams, **labels)
        titles = [f"{age:+d}" if age else "last" for age in ages]
        for subject, field in results.items():
            rows = [
                [Panel(heat=array(p), title=t) for p, t in zip(decades(part), titles, strict=True)]
                for part in field
            ]
            written.append(self.file(subject.name))
            plot_panels(folder / written[-1], rows, outputs, f"{subject.name}: past frames", dpi=60)
        return written


def _overview(plane: Tensor, name: str) -> Panel:
    """A field (H, W) summed over past frames, and the area that holds half of it."""
    half = high_contribution_area(plane)[0.5]
    text = "half: –" if half is None else f"half: {half:.1%} of the image"
    return Panel(heat=array(decades(plane)), title=f"{name}\n{text}" if name else text)
