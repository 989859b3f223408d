"""PredRNN-V2: PredRNN whose cell state and memory are pushed apart by a decoupling loss.

Wang et al., "PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning", 2021,
https://arxiv.org/abs/2103.09504 (eq. 5). Its reverse scheduled sampling is part of the training.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from predcnn.predictors.predrnn import PredRNN
from predcnn.predictors.stacked import StackShape, StackState
from predcnn.registry import PREDICTORS


def decoupling(delta_c: Tensor, delta_m: Tensor) -> Tensor:
    """Return the mean |cosine| of the channels of two maps (N, C, H, W), a scalar in [0, 1]."""
    cosines = functional.cosine_similarity(delta_c.flatten(2), delta_m.flatten(2), dim=2)
    return cosines.abs().mean()


@PREDICTORS.register("predrnnv2")
class PredRNNv2(PredRNN):
    """PredRNN with a shared 1x1 adapter for the decoupling loss; see `StackedPredictor`.

    Predictions do not depend on the adapter. `unroll` gives ``extras["decoupling"]``, the mean
    |cosine| over steps, layers, samples and channels; its published weight is 0.1.
    """

    def build(self, shape: StackShape) -> None:
        super().build(shape)
        self.adapter = nn.Conv2d(shape.hidden[0], shape.hidden[0], 1, bias=False)

    def extras(self, state: StackState, frames: Tensor, predictions: Tensor) -> dict[str, Tensor]:
        delta_c, delta_m = (torch.cat(maps) for maps in zip(*state.increments, strict=True))
        return {"decoupling": decoupling(self.adapter(delta_c), self.adapter(delta_m))}
