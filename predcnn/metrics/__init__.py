"""Metrics of video prediction: streaming, reduced over ranks, also per lead time."""

from predcnn.metrics.collection import definitions, metric_class, video_metrics
from predcnn.metrics.frame_error import MAE, MSE, PSNR, RMSE
from predcnn.metrics.lpips import LPIPS, perceptual_distance
from predcnn.metrics.ssim import SSIM, SSIMOpenSTL, structural_similarity
from predcnn.metrics.streaming import METRICS, FrameMetric
