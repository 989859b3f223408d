"""The future of a clip as a `Forecast`: plain PyTorch and numpy, no Hydra, no Lightning."""

from predcnn.forecasting.predicting import forecast, forecast_clips
from predcnn.forecasting.result import Forecast
