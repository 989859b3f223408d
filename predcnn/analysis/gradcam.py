"""Grad-CAM: where do the features lie that speak for an output?

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, https://arxiv.org/abs/1610.02391 (eq. 1, 2).
"""

from torch import Tensor
from torch.nn.functional import interpolate

from predcnn.analysis.subject import Subject, maps_and_gradients


def grad_cam(subject: Subject, x: Tensor, target: Tensor) -> Tensor:
    """Maps in [0, 1] of what speaks for every output: (L, B, n, H, W).

    A map's channels are weighted by the spatial mean of their gradients, summed, cut at 0, enlarged
    bilinearly and stretched so that the n maps of one sample and output span 0 to 1 together. A
    picture has n = 1; of a predictor's encoder, n is the number of past frames.

    Args:
        subject: the network; ``subject.seen_layer`` is explained.
        x: entered films (B, T, C, H, W).
        target: as `Subject.target` gives it.
    """
    maps, gradients = maps_and_gradients(subject, subject.seen_layer, x, target)
    weights = gradients.mean((-2, -1), keepdim=True)
    cams = (weights * maps).sum(-3).relu()  # (L, B, n, h, w)
    size = x.shape[-2:]
    large = interpolate(cams.flatten(0, 1), size, mode="bilinear", align_corners=False)
    large = large.unflatten(0, cams.shape[:2])
    low = large.amin((2, 3, 4), keepdim=True)
    high = large.amax((2, 3, 4), keepdim=True)
    return (large - low) / (high - low).clamp(min=1e-30)
