"""How good a prediction is: the field's numbers, streaming, reduced over ranks, per lead time."""

from predcnn.metrics.collection import definitions, metric_class, video_metrics
from predcnn.metrics.frame_error import MAE, MSE, RMSE, absolute_error, squared_error
from predcnn.metrics.lpips import LPIPS, perceptual_distance
from predcnn.metrics.psnr import PSNR, peak_signal_to_noise
from predcnn.metrics.ssim import SSIM, SSIMOpenSTL, structural_similarity
from predcnn.metrics.streaming import METRICS, FrameMetric

__all__ = [
    "LPIPS",
    "MAE",
    "METRICS",
    "MSE",
    "PSNR",
    "RMSE",
    "SSIM",
    "FrameMetric",
    "SSIMOpenSTL",
    "absolute_error",
    "definitions",
    "metric_class",
    "peak_signal_to_noise",
    "perceptual_distance",
    "squared_error",
    "structural_similarity",
    "video_metrics",
]
