"""Structural similarity in batches: what scikit-image computes frame by frame.

Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004,
eq. 13, with scikit-image's defaults: a uniform 7x7 window, sample covariance, K1 = 0.01,
K2 = 0.03, and only windows that lie wholly inside the frame.
"""

import torch
from torch import Tensor, nn

from predcnn.metrics.streaming import METRICS, FrameMetric, widened
from predcnn.native import kernels_for

WINDOW = 7  # side of the uniform window in pixels

# Pixels worked on at once. On a CPU the maps of so small a chunk stay in the second-level cache,
# and operators stay below the 32768 elements from which PyTorch splits them over threads, whose
# meeting takes longer than the work where cores are busy. Elsewhere it only bounds memory.
_CHUNK = {"cpu": (1 << 15) - 1}
_CHUNK_ELSEWHERE = 1 << 24


def _window_sums(x: Tensor, step: int) -> Tensor:
    """Sums of 7 values ``step`` apart, (n,) -> (n - 6 step,), with 4 additions instead of 6."""
    n = len(x) - (WINDOW - 1) * step
    two = x[:-step] + x[step:]
    out = two[:n] + two[2 * step : 2 * step + n]
    out += two[4 * step : 4 * step + n]
    out += x[6 * step :]
    return out


def _ssim_of_planes(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """Mean SSIM of single planes, (N, H, W) twice -> (N,)."""
    planes, height, width = x.shape
    x, y = x.flatten(), y.flatten()

    def box(values: Tensor) -> Tensor:
        # Sliding over the flat memory keeps every addition contiguous. Windows that run over the
        # end of a row or a plane mix pixels that are not adjacent; they are cut off below.
        return _window_sums(_window_sums(values, width), 1)

    k = WINDOW * WINDOW
    c1, c2 = _constants(data_range)
    sum_x, sum_y = box(x), box(y)
    sum_xy, sum_squares = box(x * y), box(x * x + y * y)
    # Eq. 13 with k^2 (luminance) and k (k - 1) (covariance) multiplied in, so that the window
    # sums need no division: means are sum / k, sample covariances (sum - k mean mean) / (k - 1).
    # The two factors 2 of its numerator are taken outside the mean.
    product = sum_x * sum_y
    squares = sum_x * sum_x + sum_y * sum_y
    covariance = sum_xy * k - product + c2 * k * (k - 1) / 2
    variance = sum_squares * k - squares + c2 * k * (k - 1)
    ssim = (product + c1 * k * k / 2) * covariance / ((squares + c1 * k * k) * variance)
    margin = WINDOW - 1
    ssim = nn.functional.pad(ssim, (0, margin * (width + 1))).view(planes, height, width)
    return 4 * ssim[:, : height - margin, : width - margin].mean((1, 2))


def _constants(data_range: float) -> tuple[float, float]:
    return float((0.01 * data_range) ** 2), float((0.03 * data_range) ** 2)


def _compiled(pred: Tensor, target: Tensor, data_range: float) -> Tensor | None:
    """Score planes (N, H, W) -> (N,) by the compiled kernel, which has no gradients."""
    if torch.is_grad_enabled() and (pred.requires_grad or target.requires_grad):
        return None
    kernels = kernels_for(pred, target)
    if kernels is None:
        return None
    scores = torch.empty(len(pred), dtype=torch.float64)
    planes = (pred.contiguous(), target.contiguous(), scores, *pred.shape)
    kernels("ssim", *planes, *_constants(data_range))
    return scores


def structural_similarity(pred: Tensor, target: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Return the mean SSIM of frames, (..., C, H, W) twice -> (...); differentiable, no clipping.

    Channels are scored one by one and averaged. On CPUs values agree with scikit-image in float64
    to 1e-12; on accelerators, which compute in float32, to 5e-5 for a bright, nearly constant frame
    and to 1e-6 for others. ``data_range`` is the R of the constants (0.01 R)^2 and (0.03 R)^2.
    """
    if pred.shape != target.shape or pred.ndim < 3:
        raise ValueError(
            f"pred {tuple(pred.shape)} and target {tuple(target.shape)} must have one shape "
            "(..., C, H, W)"
        )
    *batch, channels, height, width = pred.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs at least {WINDOW}x{WINDOW} pixels, not {height}x{width}")
    pred, target = (frames.reshape(-1, height, width) for frames in (pred, target))
    scores = _compiled(pred, target, data_range)
    if scores is None:
        pixels = _CHUNK.get(pred.device.type, _CHUNK_ELSEWHERE)
        planes = max(1, pixels // (height * width))
        chunks = zip(pred.split(planes), target.split(planes), strict=True)
        scores = [_ssim_of_planes(widened(x), widened(y), data_range) for x, y in chunks]
        scores = torch.cat(scores)
    return scores.view(*batch, channels).mean(-1)


@METRICS.register("ssim")
class SSIM(FrameMetric):
    """SSIM per frame of predictions clipped to [0, 1], data range 1 (the frames' true range)."""

    higher_is_better = True
    definition = (
        "mean over sequences and lead times of the SSIM of a frame (7x7 uniform window, sample "
        "covariance, channels averaged), prediction clipped to [0, 1], data range 1"
    )
    state_key = "ssim"
    ranged = True
    peak = 1.0  # the R of the constants, of frames in [0, 1]

    def frame_values(self, pred: Tensor, target: Tensor) -> Tensor:
        return structural_similarity(pred.clamp(0, 1), target, data_range=self.peak)


@METRICS.register("ssim_openstl")
class SSIMOpenSTL(SSIM):
    """SSIM with data range 2, for comparison with the OpenSTL tables only.

    Their call passed no data range, and scikit-image up to 0.19 took that of the dtype, -1..1.
    """

    definition = (
        "as ssim but with data range 2, the value the published tables were made with; higher "
        "than ssim and only to be compared with those tables"
    )
    state_key = "ssim_openstl"
    peak = 2.0
