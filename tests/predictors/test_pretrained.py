"""The weights that ship with the package."""

import json
from pathlib import Path

import pytest
import torch

import predcnn
from predcnn.data import create_datamodule, to_float
from predcnn.metrics import video_metrics
from predcnn.weights import pretrained
from predcnn.weights.pretrained import pretrained_file


def test_an_unknown_name_suggests_the_closest(monkeypatch, tmp_path):
    predictor = predcnn.create_predictor("copy_last", in_shape=(4, 1, 32, 32))
    predcnn.save_pretrained(predictor, tmp_path / "copy_last_blobs")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    assert predcnn.list_pretrained() == ["pretrained/copy_last_blobs"]
    assert predcnn.load_predictor("pretrained/copy_last_blobs").config == predictor.config
    with pytest.raises(FileNotFoundError, match="did you mean pretrained/copy_last_blobs"):
        predcnn.load_predictor("pretrained/copy_last_blob")


@pytest.mark.parametrize("name", predcnn.list_pretrained())
def test_shipped_weights_have_the_recorded_error(name):
    results = json.loads((pretrained_file(name).parent / "results.json").read_text())
    settings = predcnn.predictors.checkpoint.read_description(name)["run"]["data"]
    options = {k: v for k, v in settings.items() if k not in ("name", "in_shape")}
    data = create_datamodule(settings["name"], **options)
    assert data.fingerprint == results["data"]["fingerprint"]
    found, test, meter = predcnn.load_predictor(name), data.split("test"), video_metrics(("mse",))
    frames_in = found.in_shape[0]
    with torch.inference_mode():
        for first in range(0, len(test), 20):
            frames = to_float(test.batch(0, list(range(first, first + 20))))
            meter.update(found(frames[:, :frames_in]), frames[:, frames_in:])
    assert float(meter.compute()["mse"]) == pytest.approx(results["metrics"]["mse"], rel=1e-3)
    assert results["metrics"]["mse"] < results["copy_last"]["metrics"]["mse"]


def test_shipped_weights_are_small():
    sizes = [pretrained_file(name).stat().st_size for name in predcnn.list_pretrained()]
    assert sizes
    assert max(sizes) <= 1_000_000
    assert sum(sizes) <= 6_000_000


@pytest.mark.parametrize("name", predcnn.list_pretrained())
def test_the_documentation_lists_shipped_weights_with_their_error(name):
    page = Path(predcnn.__file__).parents[1] / "docs/get-started/first_run.md"
    results = json.loads((pretrained_file(name).parent / "results.json").read_text())
    mse, copy = results["metrics"]["mse"], results["copy_last"]["metrics"]["mse"]
    assert f"| `{name.rpartition('/')[2]}` | {mse:.1f} | {copy:.1f} |" in page.read_text()


@pytest.mark.parametrize("name", predcnn.list_pretrained())
def test_shipped_weights_stay_finite_on_clips_unlike_their_training_data(name):
    predictor = predcnn.load_predictor(name)
    torch.manual_seed(0)
    shape = (1, *predictor.in_shape)
    clips = torch.cat([torch.rand(shape), torch.zeros(shape), torch.ones(shape)])
    assert predictor.predict(clips, horizon=20).isfinite().all()
