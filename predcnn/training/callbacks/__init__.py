"""Lightning callbacks of every run."""

from predcnn.training.callbacks.checkpoint import Checkpoint
from predcnn.training.callbacks.drawing import DrawPredictions
from predcnn.training.callbacks.effort import Effort
from predcnn.training.callbacks.finite import NonFiniteError, StopOnNonFinite
from predcnn.training.callbacks.progress import ProgressBar
from predcnn.training.callbacks.slowdown import Slowdown
from predcnn.training.callbacks.throughput import Throughput
