"""Channel saliency and energy: how many channels carry the signal, how many the decision?

The definitions are ours. They follow the idea of the channel saliency maps in Kong et al., "Reflash
Dropout in Image Super-Resolution", CVPR 2022, https://arxiv.org/abs/2112.12089, whose code is not
public, and of the channel energy ranks in the MogaNet paper; equality with either is not claimed.
"""

from dataclasses import dataclass

from torch import Tensor

from predcnn.analysis.subject import Subject, maps_and_gradients


@dataclass(frozen=True)
class ChannelProfile:
    """Means over samples, calls and positions of a layer's maps A.

    Args:
        energy: A², (C,).
        saliency: |A ∂score/∂A| for every output, (L, C).
    """

    energy: Tensor
    saliency: Tensor


def channel_profile(subject: Subject, x: Tensor, target: Tensor) -> ChannelProfile:
    """Energy and saliency of every channel of ``subject.channel_layer``.

    Args:
        subject: the network.
        x: entered films (B, T, C, H, W).
        target: as `Subject.target` gives it.
    """
    maps, gradients = maps_and_gradients(subject, subject.channel_layer, x, target)
    return ChannelProfile(
        energy=maps.square().mean((0, 1, 3, 4)),
        saliency=(maps * gradients).abs().mean((1, 2, 4, 5)),
    )


def ranked_shares(values: Tensor) -> Tensor:
    """Shares of the sum, largest first: (..., C), >= 0, -> (..., C)."""
    total = values.sum(-1, keepdim=True).clamp(min=1e-30)
    return (values / total).sort(-1, descending=True).values


def effective_channels(values: Tensor) -> Tensor:
    """(Σ v)² / Σ v²: C where all channels are alike, 1 where one has everything; (..., C)."""
    return values.sum(-1).square() / values.square().sum(-1).clamp(min=1e-30)
