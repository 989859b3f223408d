"""Training losses of recurrent predictors: all one-step predictions, and each paper's terms."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from predcnn.checks import one_of
from predcnn.predictors.dmvfn import pyramid_loss
from predcnn.training.objectives import FrameLoss
from predcnn.training.sampling import Progress

Sampling = Callable[[Progress, int, int, int], Tensor]
"""(progress, batch, frames_in, steps) -> use_truth (batch, steps); `predcnn.training.sampling`."""


EXTRA_TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "decoupling": lambda value, pred, target: value,
    "moments": lambda value, pred, target: value,
    # PredNet's L_0, of the pixels: the mean of too high and too low
    "layer_errors": lambda value, pred, target: functional.l1_loss(pred, target) / 2,
    # frame 1 is predicted from frame 0 twice; the reference code leaves it out
    "stages": lambda x, pred, target: pyramid_loss(
        x[:, 1:].flatten(0, 1), target[:, 1:].flatten(0, 1)
    ),
}
"""Terms from the extras of `unroll`: (extra, predictions, their targets) to a scalar."""


class UnrolledLoss(FrameLoss):
    """Frame terms over all one-step predictions of frames 1..T-1, past included, plus extra terms.

    Args:
        terms: weight per frame term, see ``FrameLoss``; may be empty if there are extras.
        sampling: when the truth is fed, see ``predcnn.training.sampling``.
        extras: weight per extra term of this predictor's ``unroll``.
        sum_steps: sum the frame terms over the steps instead of averaging (PhyDNet).
        compat_sampling: replaces ``sampling`` for a predictor with ``compat="openstl"`` (MAU).
    """

    def __init__(
        self,
        terms: Mapping[str, float],
        sampling: Sampling,
        extras: Mapping[str, float] | None = None,
        sum_steps: bool = False,
        compat_sampling: Sampling | None = None,
    ) -> None:
        self.extras = {name: float(weight) for name, weight in (extras or {}).items()}
        for name in self.extras:
            one_of("extra term", name, sorted(EXTRA_TERMS))
        if not (terms or self.extras):
            raise ValueError("an objective needs at least one term or extra term")
        # Validation compares frames, whatever the training minimises.
        super().__init__(terms or {"mse": 1.0})
        self.in_training = bool(terms)
        self.sampling, self.sum_steps = sampling, sum_steps
        self.compat_sampling = compat_sampling or sampling

    def forward(
        self, predictor: nn.Module, frames: Tensor, frames_in: int, progress: Progress
    ) -> dict[str, Tensor]:
        """Unroll over ``frames`` (B, T, C, H, W), fed according to the schedule."""
        sampling = self.compat_sampling if predictor.compat == "openstl" else self.sampling
        use_truth = sampling(progress, len(frames), frames_in, frames.shape[1] - 1)
        predictions, extras = predictor.unroll(self.filled(frames), use_truth)
        return self.weigh(predictions, extras, frames)

    def weigh(
        self, predictions: Tensor, extras: Mapping[str, Tensor], frames: Tensor
    ) -> dict[str, Tensor]:
        """Return the terms and their weighted sum ``loss``, from the results of `unroll`."""
        parts: dict[str, Tensor] = {}
        loss = predictions.new_zeros(())
        if self.in_training:
            parts = self.frame_loss(predictions, frames[:, 1:])
            loss = parts.pop("loss") * (predictions.shape[1] if self.sum_steps else 1)
        compared = self.compared(predictions, frames[:, 1:])
        for name, weight in self.extras.items():
            parts[name] = EXTRA_TERMS[name](extras[name], *compared)
            loss = loss + weight * parts[name]
        return {"loss": loss, **parts}


class PhyDNetLoss(UnrolledLoss):
    """PhyDNet's sum over steps plus its moment term.

    ``compat="openstl"`` reproduces a defect of the reference code: the total is compared with every
    target pixel as if it were a prediction, mean((total - y)²), which has its minimum where the
    total equals the mean pixel.
    """

    def forward(
        self, predictor: nn.Module, frames: Tensor, frames_in: int, progress: Progress
    ) -> dict[str, Tensor]:
        parts = super().forward(predictor, frames, frames_in, progress)
        if predictor.compat == "openstl":
            total = parts["loss"].expand_as(frames[:, frames_in:])
            parts["loss"] = functional.mse_loss(*self.compared(total, frames[:, frames_in:]))
        return parts


class DMVFNLoss(UnrolledLoss):
    """DMVFN's Laplacian pyramids of all stages, and a perceptual distance of the last one.

    A batch is one optimizer step on the mean over its one-step predictions of frames 2..T-1. The
    reference code, and ``compat="openstl"`` (`stepwise`), take an optimizer step after each
    prediction but clear the gradients once per batch: every step repeats the earlier gradients.
    ``configs/objective/dmvfn.yaml`` explains the options.
    """

    def __init__(
        self, sampling: Sampling, perceptual_weights: str | None = None, perceptual: float = 0.5
    ) -> None:
        super().__init__({}, sampling, extras={"stages": 1.0})
        self.perceptual = perceptual
        self.distance: Callable[[Tensor, Tensor], Tensor] | None = None
        if perceptual_weights is not None:
            # torchvision is slow to import and only this option needs it
            from predcnn.training.perceptual import PerceptualDistance

            self.distance = PerceptualDistance(perceptual_weights)

    def weigh(
        self, predictions: Tensor, extras: Mapping[str, Tensor], frames: Tensor
    ) -> dict[str, Tensor]:
        extras = {"stages": self.compared(extras["stages"], frames[:, 1:, None])[0]}
        parts = super().weigh(predictions, extras, frames)
        if self.distance is not None:
            pred, true = self.compared(predictions[:, 1:], frames[:, 2:])
            parts["perceptual"] = self.distance(pred.flatten(0, 1), true.flatten(0, 1))
            parts["loss"] = parts["loss"] + self.perceptual * parts["perceptual"]
        return parts

    def stepwise(self, predictor: nn.Module) -> bool:
        """Return whether each of `windows` is an optimizer step, not the batch."""
        return predictor.compat == "openstl"

    def windows(self, frames: Tensor) -> list[Tensor]:
        """Cut ``frames`` (B, T, C, H, W) to (B, 3, C, H, W); the third frame is predicted."""
        return [frames[:, t : t + 3] for t in range(frames.shape[1] - 2)]
