"""Loss terms compared with reference values and formulas."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from predcnn.training.objectives import FrameLoss, divergence
from predcnn.training.sampling import Progress


def random_pair(C: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The "random" case of the metrics' reference file: prediction, truth (3, 10, C, 64, 64)."""
    rng = np.random.default_rng(100 + C)
    true = rng.random((3, 10, C, 64, 64)).astype(np.float32)
    pred = (true + 0.3 * rng.standard_normal(true.shape)).astype(np.float32)
    return torch.from_numpy(pred), torch.from_numpy(true)


@pytest.mark.parametrize("C", [1, 3])
def test_divergence_equals_reference_values(shared, C):
    published = json.loads(shared("parity/extras.json").read_text())[f"tau_loss_random_C{C}"]
    pred, true = random_pair(C)
    pred.requires_grad_()
    assert divergence(pred, true).item() == pytest.approx(
        published["diff_div_reg_float64"], rel=1e-5
    )
    parts = FrameLoss({"mse": 1.0, "divergence": 0.1}).frame_loss(pred, true)
    assert parts["loss"].item() == pytest.approx(published["loss_alpha0p1"], rel=1e-5)
    parts["loss"].backward()
    assert pred.grad.norm().item() == pytest.approx(published["grad_norm_wrt_pred"], rel=1e-3)


def test_divergence_of_two_frames_is_zero():
    assert divergence(torch.rand(1, 2, 1, 4, 4), torch.rand(1, 2, 1, 4, 4)) == 0


def test_terms_are_weighted_and_named():
    pred, true = torch.rand(2, 3, 1, 16, 16), torch.rand(2, 3, 1, 16, 16)
    parts = FrameLoss({"mse": 2.0, "l1": 0.5, "ssim": 0.1}).frame_loss(pred, true)
    mse, l1 = ((pred - true) ** 2).mean(), (pred - true).abs().mean()
    assert torch.allclose(parts["mse"], mse)
    assert torch.allclose(parts["loss"], 2 * mse + 0.5 * l1 + 0.1 * parts["ssim"])
    assert FrameLoss({"ssim": 1.0}).frame_loss(true, true)["loss"].item() == pytest.approx(
        0, abs=1e-6
    )


def test_a_step_along_the_gradient_lowers_the_ssim_term():
    true = torch.rand(1, 2, 1, 16, 16)
    pred = (true + 0.2 * torch.randn_like(true)).requires_grad_()
    FrameLoss({"ssim": 1.0}).frame_loss(pred, true)["loss"].backward()
    better = pred.detach() - 0.5 * pred.grad / pred.grad.abs().max()
    loss = FrameLoss({"ssim": 1.0})
    assert loss.frame_loss(better, true)["loss"] < loss.frame_loss(pred.detach(), true)["loss"]


def test_the_predictor_gets_only_the_past():
    seen = []

    class Spy(nn.Module):
        def forward(self, past):
            seen.append(past.shape)
            return torch.zeros(2, 3, 1, 8, 8)

    frames = torch.rand(2, 7, 1, 8, 8)
    parts = FrameLoss({"mse": 1.0})(Spy(), frames, 4, Progress(0))
    assert seen == [(2, 4, 1, 8, 8)]
    assert torch.allclose(parts["loss"], (frames[:, 4:] ** 2).mean())


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"mes": 1.0}, "accepted: divergence, high_frequency, l1, mse, ssim"),
        ({"mse": 0}, "at least one"),
    ],
)
def test_wrong_terms_raise(terms, message):
    with pytest.raises(ValueError, match=message):
        FrameLoss(terms)
