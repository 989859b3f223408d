"""Runs on numbers with units: any lengths, channels, gaps; trained, evaluated, drawn, continued."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import predcnn
from predcnn.app.evaluate import evaluate
from predcnn.app.predict import predict
from predcnn.app.prepare_data import prepare_data
from predcnn.app.results import _number
from predcnn.app.train import train
from predcnn.data.scale import Scale, Units
from predcnn.data.views import views_of
from predcnn.forecasting.fields import open_fields
from predcnn.forecasting.result import Forecast
from predcnn.training.prediction import VideoPrediction
from tests.data.test_arrays import blobs

TINY = ("data.batch_size=2", "data.train_sequences=4", "data.val_sequences=2",
        "data.test_sequences=2", "data.num_workers=0", "trainer.max_epochs=1",
        "trainer.accelerator=cpu", "trainer.devices=1", "trainer.enable_progress_bar=false",
        "trainer.log_every_n_steps=1", "callbacks.drawing.every_n_epochs=1",
        "keep_memory=false")  # fmt: skip
UNITS = Units(Scale("range", (0.0,), (1.0,), ("a",), ("",)), [0], ["rmse"])
NET = ("model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2", "model.net.N_S=2")


def composed(name: str, *overrides: str):
    from hydra import compose, initialize_config_module

    with initialize_config_module("predcnn.configs", version_base="1.3"):
        return compose(name, overrides=list(overrides))


def trained(folder: Path, *overrides: str) -> dict:
    run = folder / "run"
    net = () if any(text.startswith("model=") for text in overrides) else NET
    data = ("data=array", f"data.root={folder / 'd'}", f"run_dir={run}")
    train(composed("train", *data, *TINY, *net, *overrides))
    return json.loads((run / "results.json").read_text())


@pytest.fixture
def wind(tmp_path) -> np.ndarray:
    """Two channels, 250..310 and -2..3, with gaps, (N, T, C, H, W); written to d/a.npy."""
    data = blobs(6, 24, 2, size=16)
    data[:, :, 0], data[:, :, 1] = 250 + 60 * data[:, :, 0], 5 * data[:, :, 1] - 2
    data[..., :3, :3] = np.nan
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d/a.npy", data)
    return data


@pytest.mark.parametrize(("past", "future"), [(1, 1), (4, 1), (1, 10), (10, 1), (4, 20)])
def test_any_lengths_train_evaluate_draw_and_predict(tmp_path, wind, past, future):
    lengths = (f"data.frames_in={past}", f"data.frames_out={future}")
    found = trained(tmp_path, *lengths, "data.protocol=by_sequence")
    assert all(len(curve) == future for curve in found["per_frame"].values())
    assert {"mse", "rmse(channel0)", "mae(channel1)"} <= set(found["metrics"])
    assert found["data"]["scale"]["channels"] == ["channel0", "channel1"]
    np.testing.assert_allclose(found["data"]["scale"]["span"], [60, 5], rtol=0.1)
    assert (tmp_path / "run/curves.png").is_file()
    drawn = sorted(path.name for path in (tmp_path / "run/predictions").iterdir())
    assert drawn[:2] == ["sequence_000_channel0.gif", "sequence_000_channel0.png"]
    assert "val_0_channel1_epoch_001.gif" in drawn
    again = composed("evaluate", f"ckpt_path={tmp_path}/run", f"output={tmp_path}/again")
    evaluate(again)
    assert json.loads((tmp_path / "again/results.json").read_text())["metrics"] == found["metrics"]
    made = composed("predict", f"ckpt_path={tmp_path}/run", f"input={tmp_path}/d/a.npy",
                    f"output={tmp_path}/future.npz")  # fmt: skip
    predict(made)
    arrays = np.load(tmp_path / "future.npz")
    assert arrays["prediction"].shape == (6, future, 2, 16, 16)
    np.testing.assert_array_equal(arrays["past"], wind[:, -past:])


def test_evaluate_feeds_predictions_back_beyond_the_trained_length(tmp_path, wind):
    trained(tmp_path, "data.frames_in=4", "data.frames_out=4")
    where = f"ckpt_path={tmp_path}/run"
    evaluate(composed("evaluate", where, "data.frames_out=12", f"output={tmp_path}/long"))
    (file,) = (tmp_path / "long").iterdir()
    found = json.loads(file.read_text())
    assert all(len(curve) == 12 for curve in found["per_frame"].values())
    with pytest.raises(ValueError, match="needs 4 past frames"):
        evaluate(composed("evaluate", where, "data.frames_in=8"))


def test_forecasts_come_back_in_units_with_their_names(tmp_path, wind):
    xarray = pytest.importorskip("xarray")
    trained(tmp_path, "data.frames_in=4", "data.frames_out=4")
    made = predcnn.forecast(tmp_path / "run", wind[0], start=10)
    np.testing.assert_array_equal(made.past.numpy(), wind[0, 6:10])
    assert 200 < made.to_numpy()[:, 0].mean() < 400
    assert set(made.metrics["prediction"]["metrics"]) >= {"rmse(channel0)", "mae(channel1)"}
    written = xarray.open_dataset(made.save(tmp_path / "future.nc"))
    np.testing.assert_array_equal(written["channel1"][0], made.to_numpy()[:, 1])
    with pytest.raises(ValueError, match="channels channel0, channel1"):
        predcnn.forecast(tmp_path / "run", wind[0, :, :1])


def test_without_a_range_the_metrics_that_need_one_are_left_out(tmp_path, wind, caplog):
    found = trained(tmp_path, "data.frames_in=4", "data.frames_out=4", "data.normalize=standard")
    assert not {"ssim", "psnr"} & set(found["metrics"])
    assert "need a range of values" in caplog.text
    assert "scaled to mean 0 and deviation 1" in found["definitions"]["mse"]
    assert "[0, 1]" not in str(found["definitions"])


def test_values_of_the_test_beyond_the_range_are_counted(tmp_path, wind, caplog):
    trained(tmp_path, "data.frames_in=4", "data.frames_out=4", "data.range=[[250,310],[-2,3]]")
    assert "outside the scale" not in caplog.text
    trained(tmp_path, "data.frames_in=4", "data.frames_out=4", "data.range=[[250,310],[-2,-1]]",
            f"run_dir={tmp_path}/narrow")  # fmt: skip
    found = re.search(r"([\d,]+) values of the test lie outside the scale range: ", caplog.text)
    assert 0 < int(found[1].replace(",", "")) < 2 * 4 * (16 * 16 - 9)


def test_prepare_data_prints_each_fact_once(tmp_path, wind, capsys):
    np.save(tmp_path / "d/b.npy", wind)
    prepare_data(composed("prepare_data", "data=array", f"data.root={tmp_path / 'd'}"))
    printed = capsys.readouterr().out
    assert printed.count("channel0") == printed.count("NTCHW") == 1
    assert printed.count("6 recordings") == 2


def test_targets_alone_are_measured_and_drawn(tmp_path, wind):
    lengths = ("data.frames_in=4", "data.frames_out=4")
    found = trained(tmp_path, *lengths, "data.targets=[channel1]")
    assert "rmse(channel0)" not in found["metrics"]
    assert (tmp_path / "run/predictions/sequence_000.png").is_file()
    made = predcnn.forecast(tmp_path / "run", wind[0])
    assert made.prediction.isnan().all(dim=(0, 2, 3)).tolist() == [True, False]
    xarray = pytest.importorskip("xarray")
    assert list(xarray.open_dataset(made.save(tmp_path / "future.nc"))) == ["channel1"]
    with pytest.raises(ValueError, match="no prediction can be fed back: at most 4 frames"):
        predcnn.forecast(tmp_path / "run", wind[0], horizon=8)
    with pytest.raises(ValueError, match="no prediction can be fed back"):
        evaluate(composed("evaluate", f"ckpt_path={tmp_path}/run", "data.frames_out=8"))
    with pytest.raises(ValueError, match="objective on the predicted frames"):
        trained(tmp_path, *lengths, "data.targets=[channel1]", "model=convlstm",
                f"run_dir={tmp_path}/other")  # fmt: skip
    trained(tmp_path, *lengths, "data.targets=[channel1]", "model=convlstm", "objective=mse",
            f"run_dir={tmp_path}/another")  # fmt: skip
    assert (tmp_path / "another/results.json").is_file()


def test_a_zarr_store_is_an_input(tmp_path, wind):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    store = tmp_path / "d/a.zarr"
    (tmp_path / "d/a.npy").unlink()
    dims = ("sample", "time", "band", "lat", "lon")
    coords = {"lat": np.linspace(60, 30, 16), "lon": np.arange(16) * 1.5}
    dataset = xarray.Dataset({"wind": (dims, wind, {"units": "m/s"})}, coords)
    dataset.to_zarr(store, consolidated=False)
    trained(tmp_path, "data.frames_in=4", "data.frames_out=4")
    for ending in ("nc", "npz"):
        predict(composed("predict", f"ckpt_path={tmp_path}/run", f"input={store}",
                         f"output={tmp_path}/future.{ending}"))  # fmt: skip
    written, arrays = xarray.open_dataset(tmp_path / "future.nc"), np.load(tmp_path / "future.npz")
    names = [f"a_{i}" for i in range(6)]
    assert written["clip"].values.tolist() == arrays["names"].tolist() == names
    assert written["wind1"].attrs["units"] == arrays["units"][1] == "m/s"
    for found in (written, arrays):
        np.testing.assert_array_equal(found["y"], coords["lat"])
        np.testing.assert_array_equal(found["x"], coords["lon"])


def test_a_file_of_past_and_future_arrays_is_an_input(tmp_path):
    x = blobs(3, 8, size=16)
    parts = {"X_train": x[:2, :4], "Y_train": x[:2, 4:], "X_test": x[2:, :4], "Y_test": x[2:, 4:]}
    np.savez(tmp_path / "a.npz", **parts)
    split = {"train": "X_train+Y_train", "test": "X_test+Y_test"}
    data = {"frames_in": 4, "layout": "NTCHW", "split": split}
    (found,) = open_fields([tmp_path / "a.npz"], data, UNITS)
    assert (found.name, found.count) == ("a_0", 8)
    np.testing.assert_array_equal(found.frames(range(2, 7)), x[2, 2:7])


@pytest.mark.parametrize("model", ["convlstm", "prednet"])  # PredNet's sizes follow from the data
def test_recurrent_models_take_gaps(tmp_path, wind, model):
    found = trained(tmp_path, "data.frames_in=4", "data.frames_out=4", f"model={model}")
    assert np.isfinite(found["metrics"]["rmse(channel0)"])


def test_a_run_without_any_valid_pixel_in_a_batch_goes_on(tmp_path, wind):
    wind[:5] = np.nan
    np.save(tmp_path / "d/a.npy", np.concatenate([wind, wind[5:], wind[5:]]))
    found = trained(tmp_path, "data.frames_in=4", "data.frames_out=4", "data.range=[-2,310]",
                    "data.protocol=by_time")  # fmt: skip
    assert found["model"]["in_shape"] == [4, 2, 16, 16]


def test_nan_of_a_network_is_an_error_and_no_gap():
    net = predcnn.create_predictor("copy_last", in_shape=(1, 1, 8, 8), frames_out=1)
    module = VideoPrediction(net, units=UNITS)
    truth = torch.rand(1, 1, 1, 8, 8)
    gap = truth.clone()
    gap[..., 0] = torch.nan
    module._update(module.new_meters("test"), "copy_last/", gap, truth)
    with pytest.raises(ValueError, match="8 of 64 values of pred are NaN"):
        module._update(module.new_meters("test"), "", gap, truth)


def test_predictions_of_missing_values_are_neither_judged_nor_drawn():
    past, pred, truth = (torch.rand(2, 1, 8, 8) for _ in range(3))
    truth[..., :3] = torch.nan
    (view,) = views_of(past, truth, {"net": pred}, UNITS)
    assert (view.predictions["net"][..., :3] == 0).all()
    torch.testing.assert_close(view.predictions["net"][..., 3:], pred[..., 3:])
    known = Forecast("a", past, pred, truth, units=UNITS)
    assert known.mse_ratio > 0
    nothing = Forecast("a", past, pred, truth * torch.nan, units=UNITS)
    assert nothing.verdict is nothing.mse_ratio is None


def test_tables_tell_missing_values_from_identical_frames():
    nothing = {"mse": None, "psnr": None, "rmse(a)": None}
    assert [_number(name, nothing) for name in nothing] == ["–"] * 3
    assert _number("psnr", {"mse": 0.0, "psnr": None}) == "inf"
