"""Stochastic depth: skip a residual branch for some samples while training.

Huang et al., "Deep Networks with Stochastic Depth", 2016, https://arxiv.org/abs/1603.09382
"""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero samples (first axis) with probability ``drop_prob`` and scale the others.

    The shape and the mean are kept. Does nothing in eval mode. ``drop_prob`` may be changed later.
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= drop_prob <= 1.0:
            raise ValueError(f"drop_prob is a probability in [0, 1], not {drop_prob}")
        self.drop_prob = float(drop_prob)

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep = 1.0 - self.drop_prob
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0:
            mask = mask / keep
        return x * mask

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:g}"
