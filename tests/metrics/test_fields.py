"""Scores of fields: against their formulas, written out, and over batches, masks and ranks."""

import numpy as np
import pytest
import torch

from predcnn.metrics.fields import FieldScores
from predcnn.metrics.frame_error import MSE, PSNR

LATITUDES = np.linspace(-80, 80, 16)


@pytest.fixture
def fields():
    random = np.random.default_rng(0)
    truth = random.gamma(1.0, 5.0, (3, 4, 2, 16, 12))
    pred = truth + random.normal(0, 2, truth.shape)
    valid = random.random(truth.shape) > 0.2
    return pred, truth, valid


def scores_of(names, fields, batches=1, **options):
    scores = FieldScores(names, ("a", "b"), **options)
    parts = [np.array_split(part, batches) for part in fields]
    for pred, truth, valid in zip(*parts, strict=True):
        scores.update(*(torch.from_numpy(part) for part in (pred, truth, valid)))
    return {name: value.numpy() for name, value in scores.compute().items()}


def counts(pred, truth, valid, threshold):
    p, t = pred[valid] >= threshold, truth[valid] >= threshold
    return (p & t).sum(), (~p & t).sum(), (p & ~t).sum(), (~p & ~t).sum()


def test_scores_of_events_follow_the_contingency_table(fields):
    names = ("csi", "pod", "far", "hss")
    found = scores_of(names, fields, batches=2, thresholds=(4.0,))
    for channel, name in enumerate("ab"):
        for lead in (None, 2):
            picked = [part[:, :, channel] if lead is None else part[:, lead, channel]
                      for part in fields]  # fmt: skip
            hits, misses, alarms, rest = counts(*picked, 4.0)
            total = hits + misses + alarms + rest
            chance = ((hits + misses) * (hits + alarms) + (misses + rest) * (alarms + rest)) / total
            expected = {
                "csi": hits / (hits + misses + alarms),
                "pod": hits / (hits + misses),
                "far": alarms / (hits + alarms),
                "hss": (hits + rest - chance) / (total - chance),
            }
            for score, value in expected.items():
                key = f"{score}({name}>=4)"
                got = found[key] if lead is None else found[f"{key}_per_frame"][lead]
                assert got == pytest.approx(value, rel=1e-12)


def test_errors_are_means_over_the_valid_pixels(fields):
    found = scores_of(("rmse", "mae"), fields, batches=3)
    pred, truth, valid = (part[:, :, 1] for part in fields)
    error = (pred - truth)[valid]
    assert found["rmse(b)"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)
    assert found["mae(b)"] == pytest.approx(np.abs(error).mean(), rel=1e-12)
    assert found["mae(b)_per_frame"].shape == (4,)


def test_weatherbench_rmse_takes_the_root_of_every_frame(fields):
    pred, truth, _ = fields
    weights = np.cos(np.deg2rad(LATITUDES))
    weights = (weights / weights.mean())[:, None]
    error = np.sqrt((np.square(pred - truth)[:, :, 0] * weights).mean((2, 3))).mean()
    everything = (pred, truth, np.ones_like(truth, bool))
    found = scores_of(("lat_rmse",), everything, latitudes=LATITUDES)
    assert found["lat_rmse(a)"] == pytest.approx(error, rel=1e-12)


def test_anomaly_correlation_is_that_of_departures_from_the_climatology(fields):
    pred, truth, valid = fields
    climatology = truth.mean((0, 1))
    found = scores_of(("acc",), fields, climatology=climatology, latitudes=LATITUDES)
    weights = np.cos(np.deg2rad(LATITUDES))[:, None] * valid[:, :, 0]
    p, t = (part[:, :, 0] - climatology[0] for part in (pred, truth))
    expected = (weights * p * t).sum() / np.sqrt((weights * p * p).sum() * (weights * t * t).sum())
    assert found["acc(a)"] == pytest.approx(expected, rel=1e-12)


def test_fractions_skill_score_is_that_of_a_uniform_filter(fields):
    from scipy.ndimage import uniform_filter

    pred, truth, _ = fields
    found = scores_of(
        ("fss",), (pred, truth, np.ones_like(truth, bool)), thresholds=(4.0,), batches=2
    )
    sums = np.zeros(2)
    for p, t in zip(pred[:, :, 0].reshape(-1, 16, 12), truth[:, :, 0].reshape(-1, 16, 12),
                    strict=True):  # fmt: skip
        a, b = (uniform_filter((x >= 4).astype(float), 9, mode="constant") for x in (p, t))
        sums += ((a - b) ** 2).sum(), (a**2 + b**2).sum()
    assert found["fss(a>=4)"] == pytest.approx(1 - sums[0] / sums[1], rel=1e-6)
    assert scores_of(("fss",), (truth, truth, truth > -1), thresholds=(4.0,))["fss(a>=4)"] == 1


def test_a_batch_without_any_valid_pixel_changes_nothing(fields):
    nothing = np.zeros_like(fields[2])
    once = scores_of(("rmse", "acc"), fields)
    more = [np.concatenate([part, extra]) for part, extra in
            zip(fields, (fields[0], fields[1], nothing), strict=True)]  # fmt: skip
    again = scores_of(("rmse", "acc"), more, batches=2)
    for name, value in once.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-12)
    assert np.isnan(scores_of(("rmse",), (*fields[:2], nothing))["rmse(a)"])


def test_scores_without_their_thresholds_raise():
    with pytest.raises(ValueError, match="thresholds"):
        FieldScores(["csi"], ["rain"])
    with pytest.raises(KeyError, match="csi"):
        FieldScores(["csii"], ["rain"])


def test_published_metrics_leave_missing_pixels_out():
    random = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 2, 3, 1, 8, 8, generator=random)
    valid = torch.rand(pred.shape, generator=random) > 0.3
    valid[0, 1] = False
    target = target.masked_fill(~valid, torch.nan)
    mse, psnr = MSE(), PSNR()
    for metric in (mse, psnr):
        metric.update(pred, target, valid=valid)
    error = (pred - target.nan_to_num(nan=0)).double().square() * valid
    mean = (error.sum((2, 3, 4)) / valid.sum((2, 3, 4)))[valid.any(4).any(3).any(2)]
    assert float(mse.compute()) == pytest.approx(float(mean.mean() * 64), rel=1e-6)
    assert float(psnr.compute()) == pytest.approx(float(-10 * torch.log10(mean).mean()), rel=1e-6)
