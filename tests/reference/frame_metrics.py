"""Metrics of single frames as the published evaluation computes them."""

import numpy as np
from skimage.metrics import structural_similarity


def skimage_ssim(x: np.ndarray, y: np.ndarray, data_range: float) -> np.ndarray:
    """SSIM of every frame in float64, (N, C, H, W) twice -> (N,)."""
    return np.array(
        [
            structural_similarity(a, b, channel_axis=0, data_range=data_range)
            for a, b in zip(x.astype(np.float64), y.astype(np.float64), strict=True)
        ]
    )
