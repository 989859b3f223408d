"""WaST's objective: focal loss compared with reference values, late stochastic depth."""

import zlib

import numpy as np
import pytest
import torch

import predcnn
from predcnn.ops import DropPath
from predcnn.training.objectives import high_frequency_focal
from predcnn.training.sampling import Progress
from predcnn.training.wavelet import WaSTLoss
from tests.predictors.one_pass_cases import HERE
from tests.predictors.published import load_fixture, published_input, published_target

FIXTURE, ARRAYS = load_fixture(HERE / "wast_hffl")


@pytest.mark.parametrize("case", FIXTURE["cases"], ids=lambda case: case["case"])
def test_high_frequency_focal_equals_reference_values(case):
    pred = published_input({"input_shape": case["shape"]}).requires_grad_()
    given = dict(case["arguments"])
    weight = given.pop("loss_weight", 1e-3)
    loss = weight * high_frequency_focal(pred, published_target(tuple(case["shape"])), **given)
    loss.backward()
    assert loss.item() == pytest.approx(case["loss64"], rel=1e-6)
    norm = float(ARRAYS[f"{case['case']}_grad_norm64"])
    assert pred.grad.norm().item() == pytest.approx(norm, rel=1e-6)
    rng = np.random.default_rng(zlib.crc32(b"grad:hffl"))
    probe = pred.grad.double().numpy().ravel() @ rng.standard_normal(pred.numel())
    assert probe == pytest.approx(float(ARRAYS[f"{case['case']}_grad_probe64"]), abs=1e-6 * norm)


def test_equal_frames_have_zero_loss():
    frames = torch.rand(1, 2, 1, 16, 16)
    assert high_frequency_focal(frames, frames) == 0


def rates(predictor) -> list[float]:
    return [part.drop_prob for part in predictor.modules() if isinstance(part, DropPath)]


@pytest.mark.parametrize("compat", [None, "openstl"])
def test_stochastic_depth_starts_late(compat):
    predictor = predcnn.create_predictor(
        "wast", in_shape=(2, 1, 8, 8), compat=compat, encoder_dim=2, block_list=(1, 1, 1)
    )
    objective = WaSTLoss({"mse": 1.0, "high_frequency": 1e-3}, drop_path=0.4, start=0.5)
    used: list[list[float]] = []
    predictor.conv_in.register_forward_pre_hook(lambda *_: used.append(rates(predictor)))
    frames = torch.rand(2, 4, 1, 8, 8)
    for step in range(4):
        parts = objective(predictor, frames, 2, Progress(step, total=4))
    assert set(parts) == {"loss", "mse", "high_frequency"}
    off, on = [0.0, 0.0, 0.0], [0.0, 0.2, 0.4]
    first = [0.0, 0.05, 0.1]  # of the constructor: the published rates are one step late
    assert used == ([off, off, on, on] if compat is None else [first, off, off, on])
    with pytest.raises(ValueError, match="length"):
        objective(predictor, frames, 2, Progress(0))
