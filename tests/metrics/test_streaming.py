"""Metrics stream, split by lead time, reduce, and refuse what would make a wrong number."""

import numpy as np
import pytest
import torch

from predcnn.metrics import MAE, METRICS, MSE, PSNR, RMSE, definitions, metric_class, video_metrics
from predcnn.metrics.streaming import FrameMetric

NAMES = ("mse", "mae", "rmse", "ssim", "ssim_openstl", "psnr")
ALL = (*NAMES, *(f"{name}_per_frame" for name in NAMES))


@pytest.fixture
def videos():
    target = torch.rand(6, 4, 2, 12, 14)
    return target + 0.2 * torch.randn_like(target), target


def test_definitions_by_hand(videos):
    pred, target = (v.double() for v in videos)
    metrics = video_metrics(ALL)
    metrics.update(*videos)
    values = metrics.compute()
    error = pred - target
    mse = error.square().sum((2, 3, 4))
    clipped = (pred.clamp(0, 1) - target).square().mean((2, 3, 4))
    psnr = 20 * torch.log10(1 / clipped.sqrt())
    torch.testing.assert_close(values["mse"], mse.mean())
    torch.testing.assert_close(values["mse_per_frame"], mse.mean(0))
    torch.testing.assert_close(values["rmse"], mse.mean().sqrt())
    torch.testing.assert_close(values["rmse_per_frame"], mse.mean(0).sqrt())
    torch.testing.assert_close(values["mae"], error.abs().sum((2, 3, 4)).mean())
    torch.testing.assert_close(values["psnr"], psnr.mean())
    torch.testing.assert_close(values["psnr_per_frame"], psnr.mean(0))


def test_curves_have_one_value_per_lead_time_and_the_same_mean(videos):
    metrics = video_metrics(ALL)
    metrics.update(*videos)
    values = metrics.compute()
    for name in ("mse", "mae", "ssim", "ssim_openstl", "psnr"):
        assert values[name].shape == ()
        assert values[f"{name}_per_frame"].shape == (4,)
        torch.testing.assert_close(values[f"{name}_per_frame"].mean(), values[name])


def test_only_the_prediction_is_clipped():
    target = torch.full((1, 1, 1, 8, 8), 0.5)
    metric = PSNR()
    metric.update(torch.full_like(target, 9.0), target)
    assert float(metric.compute()) == pytest.approx(-20 * torch.log10(torch.tensor(0.5)).item())


SPANS = {"bytes": (0, 255), "kelvin": (250, 310), "signed": (-1, 1)}


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_unscaled_frames_need_a_range(videos, span):
    low, high = span
    pred, target = videos
    names = ("ssim", "psnr")
    known = video_metrics(names)
    known.update(pred, target)
    moved = [low + (high - low) * part.double() for part in videos]
    with pytest.raises(ValueError, match=r"data_range=\[low, high\]"):
        video_metrics(names).update(*moved)
    ranged = video_metrics(names, {name: {"data_range": span} for name in names})
    ranged.update(*moved)
    for name, value in known.compute().items():
        torch.testing.assert_close(ranged.compute()[name], value, rtol=1e-6, atol=1e-6)


def test_one_range_serves_every_metric_that_needs_one():
    target = torch.rand(2, 4, 1, 32, 32)
    pred = (target + 0.05 * torch.randn_like(target)).clamp(0, 1)
    metrics = video_metrics(("ssim", "psnr", "mae"), data_range=(0, 255))
    metrics.update(255 * pred, 255 * target)
    values = metrics.compute()
    assert float(values["ssim"]) == pytest.approx(0.985, abs=2e-3)
    assert float(values["psnr"]) == pytest.approx(26.2, abs=0.2)
    error = (255 * (pred - target).double()).abs().sum((2, 3, 4)).mean()
    assert float(values["mae"]) == pytest.approx(float(error), rel=1e-5)


def test_updates_by_parts_equal_one_update(videos):
    whole, parts = video_metrics(ALL), video_metrics(ALL)
    whole.update(*videos)
    for size in ([1, 3, 2], [4, 2]):
        parts.reset()
        for pred, target in zip(*(v.split(size) for v in videos), strict=True):
            parts.update(pred, target)
        for name, value in whole.compute().items():
            torch.testing.assert_close(parts.compute()[name], value, msg=name)


def test_reset_clears_all_sums(videos):
    metrics = video_metrics(ALL)
    metrics.update(torch.rand(2, 7, 1, 8, 8), torch.rand(2, 7, 1, 8, 8))
    metrics.compute()
    metrics.reset()
    metrics.update(*videos)
    fresh = video_metrics(ALL)
    fresh.update(*videos)
    for name, value in fresh.compute().items():
        torch.testing.assert_close(metrics.compute()[name], value, rtol=0, atol=0, msg=name)


def test_a_perfect_first_batch_does_not_merge_metrics(videos):
    metrics = video_metrics(("mse", "mae"))
    perfect = torch.rand(2, 4, 2, 12, 14)
    metrics.update(perfect, perfect)
    metrics.update(*videos)
    values = metrics.compute()
    for name, cls in (("mse", MSE), ("mae", MAE)):
        single = cls()
        single.update(perfect, perfect)
        single.update(*videos)
        torch.testing.assert_close(values[name], single.compute())


def test_equal_sums_are_updated_once(videos, monkeypatch):
    calls = []
    original = MSE.frame_values
    monkeypatch.setattr(MSE, "frame_values", lambda self, *a: calls.append(1) or original(self, *a))
    metrics = video_metrics(("mse", "rmse", "mse_per_frame", "rmse_per_frame"))
    metrics.update(*videos)
    metrics.update(*videos)
    assert len(calls) == 2
    values = metrics.compute()
    torch.testing.assert_close(values["rmse"] ** 2, values["mse"])
    single = RMSE(per_frame=True)
    single.update(*videos)
    torch.testing.assert_close(values["rmse_per_frame"], single.compute())


def test_memory_is_constant(videos):
    metric = METRICS["ssim"](per_frame=True)
    metric.update(*videos)
    states = {name: getattr(metric, name) for name in metric._defaults}
    size = {name: state.numel() for name, state in states.items()}
    for _ in range(5):
        metric.update(*videos)
    assert {name: getattr(metric, name).numel() for name in metric._defaults} == size
    assert all(isinstance(state, torch.Tensor) for state in states.values())


def test_half_precision_input(videos):
    pred, target = (v.bfloat16() for v in videos)
    half, full = video_metrics(NAMES), video_metrics(NAMES)
    half.update(pred, target)
    full.update(pred.float(), target.float())
    for name, value in full.compute().items():
        torch.testing.assert_close(half.compute()[name], value, rtol=1e-12, atol=0, msg=name)


def test_states_of_inference_mode_survive_it(videos):
    metric = MSE()
    with torch.inference_mode():
        metric.reset()
        metric.update(*videos)
    metric.update(*videos)
    single = MSE()
    single.update(*videos)
    torch.testing.assert_close(metric.compute(), single.compute())


def test_exact_frame_makes_psnr_infinite_where_it_is(videos):
    pred, target = (v.clone() for v in videos)
    target[2, 1] = target[2, 1].clamp(0, 1)
    pred[2, 1] = target[2, 1]
    metrics = video_metrics(("psnr", "psnr_per_frame"))
    metrics.update(pred, target)
    values = metrics.compute()
    assert values["psnr"] == float("inf")
    assert values["psnr_per_frame"].isinf().tolist() == [False, True, False, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", [0, 1])
def test_nan_and_inf_are_named(videos, bad, which):
    batch = [v.clone() for v in videos]
    batch[which][3, 2, 1, 5, 5] = bad
    match = f"1 of 8064 values of {('pred', 'target')[which]} are NaN or Inf.*sequence 3, frame 2"
    with pytest.raises(ValueError, match=match):
        METRICS["ssim"]().update(*batch)


def test_opposite_infinities_are_seen(videos):
    pred = videos[0].clone()
    pred[0, 0, 0, 0, :2] = torch.tensor([float("inf"), -float("inf")])
    with pytest.raises(ValueError, match="2 of 8064 values of pred"):
        MSE().update(pred, videos[1])


def test_wrong_shapes_and_types_are_named(videos):
    pred, target = videos
    metric = MSE()
    with pytest.raises(ValueError, match=r"pred has shape \(6, 3.*but target \(6, 4"):
        metric.update(pred[:, :3], target)
    with pytest.raises(ValueError, match=r"expected \(B, T, C, H, W\)"):
        metric.update(pred[0, 0], target[0, 0])
    with pytest.raises(TypeError, match="pred is a tensor or an array of numbers, not list"):
        metric.update(pred.tolist(), target)
    with pytest.raises(TypeError, match="divide by 255"):
        metric.update(pred, (target * 255).to(torch.uint8))
    with pytest.raises(ValueError, match="at most 4096"):
        metric.update(torch.zeros(1, 4097, 1, 1, 1), torch.zeros(1, 4097, 1, 1, 1))


def test_another_horizon_needs_a_reset(videos):
    metric = MSE()
    metric.update(*videos)
    with pytest.raises(ValueError, match="2 frames per sequence, the earlier ones 4"):
        metric.update(*(v[:, :2] for v in videos))
    metric.reset()
    metric.update(*(v[:, :2] for v in videos))
    assert torch.isfinite(metric.compute())


def test_compute_before_update_is_an_error():
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="no frames"):
        MSE().compute()


def test_unknown_names_are_errors():
    with pytest.raises(KeyError, match="ssim_openstl"):
        video_metrics(["ssim_opnstl"])
    with pytest.raises(KeyError, match="mse"):
        video_metrics(["mse_perframe"])
    with pytest.raises(TypeError, match="one string"):
        video_metrics("mse")
    with pytest.raises(ValueError, match="at least one of"):
        video_metrics([])
    with pytest.raises(ValueError, match="options for lpips"):
        video_metrics(["mse"], options={"lpips": {}})


@pytest.mark.parametrize("name", METRICS.names())
def test_facts_for_tables(name):
    cls = metric_class(f"{name}_per_frame")
    assert issubclass(cls, FrameMetric)
    assert isinstance(cls.higher_is_better, bool)
    assert definitions([name]) == {name: cls.definition}
    assert len(cls.definition) > 20


def test_higher_is_better():
    better = {name for name in METRICS.names() if METRICS[name].higher_is_better}
    assert better == {"ssim", "ssim_openstl", "psnr"}


def test_definitions_differ():
    assert len({METRICS[name].definition for name in METRICS.names()}) == len(METRICS.names())


class Bias(FrameMetric):
    unit = "intensity"
    definition = "mean of the signed error"

    def frame_values(self, pred, target):
        return (pred.double() - target.double()).mean((2, 3, 4))


def test_a_metric_from_outside(videos):
    name = f"{__name__}.Bias"
    metrics = video_metrics([name, f"{name}_per_frame", "mse"])
    metrics.update(*videos)
    values = metrics.compute()
    torch.testing.assert_close(values["Bias"], (videos[0].double() - videos[1].double()).mean())
    assert values["Bias_per_frame"].shape == (4,)


@pytest.mark.parametrize("form", [np.float64, np.float32, np.float16])
def test_arrays_and_one_video_without_a_batch_axis_are_taken(videos, form):
    wanted, found, one = (video_metrics(("mse", "ssim")) for _ in range(3))
    arrays = [v[:1].numpy().astype(form) for v in videos]
    for array in arrays:
        array.setflags(write=False)
    wanted.update(*(torch.from_numpy(array.copy()) for array in arrays))
    found.update(*arrays)
    one.update(*(array[0] for array in arrays))
    assert found.compute() == one.compute() == wanted.compute()


@pytest.mark.parametrize("given", [255, (255, 0), (0, 1, 2)])
def test_a_range_has_two_ends_in_order(given):
    with pytest.raises(ValueError, match=r"data_range is \[low, high\], not"):
        video_metrics(("ssim",), data_range=given)
