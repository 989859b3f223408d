"""Grad-CAM: the positions of the features that increase an output.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, https://arxiv.org/abs/1610.02391 (eq. 1, 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from timm.data import ImageNetInfo
from torch import Tensor
from torch.nn.functional import interpolate

from predcnn.analysis.kind import Figures, Inputs, Kind
from predcnn.analysis.subject import ClassifierSubject, Subject, maps_and_gradients
from predcnn.visual import Panel, frame_image, plot_panels

Found = tuple[Tensor, list[dict[str, object]]]
"""Maps (L, B, n, H, W); of classifiers also each image's class, its name and probability."""


def grad_cam(subject: Subject, x: Tensor, target: Tensor) -> Tensor:
    """Return Grad-CAM maps in [0, 1] of ``subject.seen_layer`` for every output, (L, B, n, H, W).

    A map's channels are weighted by the spatial mean of their gradients, summed, clipped at 0,
    enlarged bilinearly and scaled so that the n maps of one sample and output span 0 to 1. An image
    has n = 1; for a predictor's encoder, n is the number of past frames. ``x`` are clips from
    ``subject.enter`` (B, T, C, H, W).
    """
    maps, gradients = maps_and_gradients(subject, subject.seen_layer, x, target)
    weights = gradients.mean((-2, -1), keepdim=True)
    cams = (weights * maps).sum(-3).relu()  # (L, B, n, h, w)
    flat = rearrange(cams, "l b n h w -> (l b) n h w")
    large = interpolate(flat, x.shape[-2:], mode="bilinear", align_corners=False)
    large = rearrange(large, "(l b) n h w -> l b n h w", b=len(x))
    low = large.amin((2, 3, 4), keepdim=True)
    high = large.amax((2, 3, 4), keepdim=True)
    return (large - low) / (high - low).clamp(min=1e-30)


@dataclass(frozen=True)
class GradCAM(Kind):
    """Maps over images for their class, over past frames for the brightness of a future one."""

    definition = (
        "Grad-CAM of the network's own class, of predictors of the brightness of a predicted frame"
    )

    def measure(self, subject: Subject, inputs: Inputs) -> Found:
        x, target = inputs.for_subject(subject)
        cams = grad_cam(subject, x, target).cpu()
        if not isinstance(subject, ClassifierSubject):
            return cams, []
        with torch.no_grad():
            probabilities = subject.logits(x).softmax(1)
        decisions = []
        for index, row in zip(target.tolist(), probabilities, strict=True):
            known = ImageNetInfo().index_to_description(index) if len(row) == 1000 else None
            name = known and known.split(",")[0]
            decisions.append({"class": index, "name": name, "probability": float(row[index])})
        return cams, decisions

    def numbers(self, subject: Subject, found: Found) -> dict[str, object]:
        cams, decisions = found
        covered = (cams > 0.5).float().mean((1, 2, 3, 4)).tolist()
        numbers = {"above_half": dict(zip(subject.outputs, covered, strict=True))}
        return {**numbers, "decisions": decisions} if decisions else numbers

    def draw(self, figures: Figures, inputs: Inputs, results: Mapping[Subject, Found]) -> None:
        if inputs.future is None:
            rows, names, title = _class_rows(inputs, results), (), ""
        else:
            rows = [_lead_row(s, inputs.clips[0], cams[-1, 0]) for s, (cams, _) in results.items()]
            lead, names = next(iter(results)).outputs[-1], [subject.name for subject in results]
            title = f"features that brighten the frame at {lead}: {inputs.names[0]}"
        plot_panels(figures.path(), rows, names, title, bar="relevance / largest")


def _lead_row(subject: Subject, clip: Tensor, cams: Tensor) -> list[Panel]:
    """Show past frames under the maps (n, H, W) of the last lead time, and the predicted frame."""
    frames = clip if len(cams) == len(clip) else clip[-1:].expand(len(cams), -1, -1, -1)
    titles = [*(f"{age:+d}" for age in range(1 - len(cams), 0)), "last"]
    row = [
        Panel(frame_image(frame), cam, title)
        for frame, cam, title in zip(frames, cams, titles, strict=True)
    ]
    with torch.no_grad():
        predicted = subject.response(clip[None])[0, -1]
    return [*row, Panel(frame_image(predicted), title=f"predicted {subject.outputs[-1]}")]


def _class_rows(inputs: Inputs, results: Mapping[Subject, Found]) -> list[list[Panel]]:
    """Show each image and, in the same row, every network's map with its decision."""
    rows = []
    for n, clip in enumerate(inputs.clips):
        row = [Panel(frame_image(clip[0]), title=inputs.names[n])]
        for subject, (cams, decisions) in results.items():
            label = decisions[n]["name"] or f"class {decisions[n]['class']}"
            text = f"{label} {decisions[n]['probability']:.0%}"
            title = text if n else f"{subject.name}\n{text}"
            row.append(Panel(frame_image(clip[0]), cams[0, n, 0], title))
        rows.append(row)
    return rows
