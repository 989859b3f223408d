"""Channels by rank: their energy, and their saliency for every output."""

from collections.abc import Mapping
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from predcnn.analysis import Subject, channel_profile
from predcnn.analysis.channels import ChannelProfile, effective_channels, ranked_shares
from predcnn.app.analyses.analysis import Analysis, file_name, with_target
from predcnn.app.analyses.inputs import Inputs
from predcnn.visual import plot_lines


def _measure(cfg: DictConfig, subject: Subject, inputs: Inputs) -> ChannelProfile:
    return channel_profile(subject, *with_target(subject, inputs))


def _numbers(subject: Subject, found: ChannelProfile) -> dict:
    saliency = effective_channels(found.saliency).tolist()
    return {
        "layer": subject.channel_layer,
        "channels": len(found.energy),
        "effective_energy": effective_channels(found.energy).item(),
        "effective_saliency": dict(zip(subject.outputs, saliency, strict=True)),
        "energy_shares": ranked_shares(found.energy).tolist(),
    }


def _draw(folder: Path, inputs: Inputs, results: Mapping[str, ChannelProfile]) -> list[str]:
    def ranked(values: Tensor) -> tuple[list[float], list[float]]:
        count = len(values)
        shares = ranked_shares(values)
        kept = shares > 0
        rank = (torch.arange(count) + 1) / count
        return rank[kept.cpu()].tolist(), (shares[kept] * count).tolist()

    diagrams = {"energy": {name: ranked(found.energy) for name, found in results.items()}}
    for i, output in enumerate(inputs.subjects[0].outputs):
        title = f"saliency, lead time {output}" if inputs.future is not None else "saliency"
        diagrams[title] = {name: ranked(found.saliency[i]) for name, found in results.items()}
    plot_lines(
        folder / file_name("channels"), diagrams, "rank / channels", y_label="in units of the mean",
        logarithmic=True,
    )  # fmt: skip
    return [file_name("channels")]


CHANNELS = Analysis(
    "our own: energy mean A², saliency mean |A ∂score/∂A| of a layer's channels; effective number "
    "(Σv)²/Σv²; score as for gradcam",
    _measure,
    _numbers,
    _draw,
)
