"""Every metric equals the published metric code on the published cases."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from predcnn.metrics import structural_similarity, video_metrics

REFERENCE = json.loads((Path(__file__).parent / "data" / "metrics.json").read_text())
NAMES = ("mse", "mae", "rmse", "psnr", "ssim", "ssim_openstl")


def random(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(100 + shape[2])
    true = rng.random(shape).astype(np.float32)
    return (true + 0.3 * rng.standard_normal(shape)).astype(np.float32), true


def blobs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    b, t, c, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    cx, cy = 12 + 4 * t + 3 * c, 20 + 8 * b + 2 * t
    true = np.clip(1.4 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 40), 0, 1)
    near = np.clip(1.3 * np.exp(-((x - cx - 1.5) ** 2 + (y - cy + 1) ** 2) / 52), 0, 1)
    noise = np.random.default_rng(200 + shape[2]).standard_normal(shape)
    return (near + 0.02 * noise).astype(np.float32), true.astype(np.float32)


RULES = {"random": random, "blobs": blobs}
CASES = [case for case in REFERENCE["cases"] if case["case"] in RULES]


def arrays(case: dict) -> tuple[Tensor, Tensor]:
    pred, true = RULES[case["case"]](tuple(case["shape"]))
    check = case["checksum"]
    assert pred.astype(np.float64).sum() == pytest.approx(check["pred_sum"], rel=1e-9)
    assert true.astype(np.float64).sum() == pytest.approx(check["true_sum"], rel=1e-9)
    np.testing.assert_allclose(pred.ravel()[:8], check["pred_first8"], rtol=1e-6)
    return torch.from_numpy(pred), torch.from_numpy(true)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['C']}")
def test_equals_the_published_code(case):
    metrics = video_metrics(NAMES)
    metrics.update(*arrays(case))
    values = metrics.compute()
    ssim = case["ssim"]
    expected = {
        **case["metric"],
        "ssim": ssim["ssim_new_float32_data_range_1"],
        "ssim_openstl": ssim["ssim_skimage_0.19.3_original_call(float32 arithmetic, data_range=2)"],
    }
    exact = {
        **case["metric_float64_inputs"],
        "ssim": ssim["ssim_new_float64_data_range_1"],
        "ssim_openstl": ssim["ssim_skimage_0.18.3_original_call(float64 arithmetic, data_range=2)"],
    }
    # Their PSNR is a mean of float32 numbers even on float64 inputs.
    tolerance = dict.fromkeys(NAMES, 1e-9) | {"psnr": 1e-6}
    for name in NAMES:
        assert float(values[name]) == pytest.approx(expected[name], rel=2e-5), name
        assert float(values[name]) == pytest.approx(exact[name], rel=tolerance[name]), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['C']}")
def test_ssim_of_every_frame(case):
    pred, true = arrays(case)
    ours = structural_similarity(pred[0].clamp(0, 1), true[0], data_range=2)
    expected = case["ssim_per_frame_sample0_0.18.3_data_range_2"]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9)


def test_identical_videos():
    frames = torch.rand(3, 10, 1, 64, 64)
    metrics = video_metrics(NAMES)
    metrics.update(frames, frames)
    (case,) = (case for case in REFERENCE["cases"] if case["case"] == "identical")
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert {name: values[name] for name in ("mse", "mae", "rmse")} == {
        name: case["metric"][name] for name in ("mse", "mae", "rmse")
    }
    assert values["psnr"] == float(case["metric"]["psnr"]) == float("inf")
    assert values["ssim"] == pytest.approx(1, abs=1e-12)
    assert values["ssim_openstl"] == pytest.approx(1, abs=1e-12)
