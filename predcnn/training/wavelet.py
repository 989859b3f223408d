"""WaST's training: stochastic depth that starts late.

Nie et al., "Wavelet-Driven Spatiotemporal Predictive Learning", AAAI 2024; the published schedule
is "late" with the cut-off at epoch 20 of 50.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from predcnn.ops.drop_path import DropPath
from predcnn.training.objectives import FrameLoss
from predcnn.training.sampling import Progress


class WaSTLoss(FrameLoss):
    """Frame terms; sets the predictor's rates of stochastic depth before each step.

    With ``compat="openstl"`` the rates are set after each step, so that the first one runs with the
    rates of the constructor, as in the reference code. The rates rise linearly from 0 in the first
    block to ``drop_path`` in the last; before the share ``start`` of the run all are 0.
    """

    def __init__(
        self, terms: Mapping[str, float], drop_path: float = 0.25, start: float = 0.4
    ) -> None:
        super().__init__(terms)
        self.drop_path, self.start = drop_path, start

    def forward(
        self, predictor: nn.Module, frames: Tensor, frames_in: int, progress: Progress
    ) -> dict[str, Tensor]:
        late = predictor.compat == "openstl"
        if not late:
            self._set_rates(predictor, progress)
        parts = super().forward(predictor, frames, frames_in, progress)
        if late:
            self._set_rates(predictor, progress)
        return parts

    def _set_rates(self, predictor: nn.Module, progress: Progress) -> None:
        largest = self.drop_path if progress.step >= progress.length(self.start) else 0.0
        blocks = [part for part in predictor.modules() if isinstance(part, DropPath)]
        for index, block in enumerate(blocks):
            block.drop_prob = largest * index / max(len(blocks) - 1, 1)
