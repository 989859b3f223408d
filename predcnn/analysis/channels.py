"""Channel saliency and energy: how many channels carry the signal, how many the decision?

The definitions are ours. They follow the idea of the channel saliency maps in Kong et al., "Reflash
Dropout in Image Super-Resolution", CVPR 2022, https://arxiv.org/abs/2112.12089, whose code is not
public, and of the channel energy ranks in the MogaNet paper; equality with either is not claimed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from predcnn.analysis.kind import Figures, Inputs, Kind, per_output
from predcnn.analysis.subject import Subject, maps_and_gradients
from predcnn.visual import plot_lines


class ChannelProfile(NamedTuple):
    """Means over samples, calls and positions of a layer's maps A."""

    energy: Tensor  # A², (C,)
    saliency: Tensor  # |A ∂score/∂A| for every output, (L, C)


def channel_profile(subject: Subject, x: Tensor, target: Tensor) -> ChannelProfile:
    """Return energy and saliency by channel of ``channel_layer``; ``x``: (B, T, C, H, W)."""
    maps, gradients = maps_and_gradients(subject, subject.channel_layer, x, target)
    return ChannelProfile(
        energy=maps.square().mean((0, 1, 3, 4)),
        saliency=(maps * gradients).abs().mean((1, 2, 4, 5)),
    )


def ranked_shares(values: Tensor) -> Tensor:
    """Return shares of the sum, largest first: (..., C), >= 0, -> (..., C)."""
    return (values / values.sum(-1, keepdim=True).clamp(min=1e-30)).sort(-1, descending=True).values


def effective_channels(values: Tensor) -> Tensor:
    """Return (Σ v)² / Σ v² of (..., C): C for equal channels, 1 if one has everything."""
    return values.sum(-1).square() / values.square().sum(-1).clamp(min=1e-30)


@dataclass(frozen=True)
class Channels(Kind):
    """Channels by rank: their energy, and their saliency for every output."""

    definition = (
        "our own: energy mean A², saliency mean |A ∂score/∂A| of a layer's channels; effective "
        "number (Σv)²/Σv²; score as for gradcam"
    )

    def measure(self, subject: Subject, inputs: Inputs) -> ChannelProfile:
        return channel_profile(subject, *inputs.for_subject(subject))

    def numbers(self, subject: Subject, found: ChannelProfile) -> dict[str, object]:
        saliency = effective_channels(found.saliency).tolist()
        return {
            "layer": subject.channel_layer,
            "channels": len(found.energy),
            "effective_energy": effective_channels(found.energy).item(),
            "effective_saliency": dict(zip(subject.outputs, saliency, strict=True)),
            "energy_shares": ranked_shares(found.energy).tolist(),
        }

    def draw(
        self, figures: Figures, inputs: Inputs, results: Mapping[Subject, ChannelProfile]
    ) -> None:
        diagrams = {"energy": {s.name: _ranked(found.energy) for s, found in results.items()}}
        diagrams |= per_output(inputs, results, "saliency", lambda f, i: _ranked(f.saliency[i]))
        labels = {"x_label": "rank / channels", "y_label": "in units of the mean"}
        plot_lines(figures.path(), diagrams, **labels, logarithmic=True)


def _ranked(values: Tensor) -> tuple[list[float], list[float]]:
    """Return ranks in (0, 1] and positive values, largest first."""
    count, shares = len(values), ranked_shares(values).cpu()
    kept = shares > 0
    rank = (torch.arange(count) + 1) / count
    return rank[kept].tolist(), (shares[kept] * count).tolist()
