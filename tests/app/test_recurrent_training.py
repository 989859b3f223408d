"""Training, evaluation and resume of the recurrent predictors on their real configurations."""

import json

import pytest

from predcnn.app import train as app
from predcnn.training import prediction
from tests.app.interruption import assert_same, final_state, train_and_kill
from tests.predictors.recurrent_cases import options_of, recurrent_names

# a small value of every option that sets a size; each predictor takes those that it has
TINY = {
    "num_hidden": "[8,8]",
    "filter_size": 3,
    "convlstm_hidden": "[64]",
    "stack_sizes": "['${data.in_shape.1}',4,8]",
    "depths_downsample": "[2]",
    "depths_upsample": "[2]",
    "num_heads": "[2]",
    "embed_dim": 16,
    "num_features": "[8,8,8,8,8,8,8,8,8]",
}
HEIGHT = {"dmvfn": 48}  # five levels of its loss's pyramid; the others train on 32


def tiny_overrides(name: str) -> list[str]:
    sizes = [f"model.net.{key}={value}" for key, value in TINY.items() if key in options_of(name)]
    return [f"model={name}", f"data.height={HEIGHT.get(name, 32)}", *sizes]


@pytest.fixture
def _no_images(monkeypatch) -> None:
    """Drawing takes longer than these networks; test_train.py covers it."""
    monkeypatch.setattr(prediction, "draw_sequences", lambda *args, **options: None)
    monkeypatch.setattr(prediction, "draw_curves", lambda *args, **options: None)


@pytest.mark.usefixtures("_no_images")
@pytest.mark.parametrize("data", ["moving_mnist", "mmnist_cifar"])
@pytest.mark.parametrize("name", recurrent_names())
def test_a_step_and_an_evaluation_of_every_model(tiny_cfg, tmp_path, name, data):
    mse = app.train(tiny_cfg(f"data={data}", *tiny_overrides(name), "trainer.max_steps=1"))
    found = json.loads((tmp_path / "run/results.json").read_text())
    assert found["model"]["name"] == name
    assert found["data"]["name"] == data
    assert found["checkpoint"]["step"] == 1
    assert 0 < found["metrics"]["mse"] == mse < float("inf")
    assert len(found["per_frame"]["mse"]) == 10


# (name, overrides): scheduled sampling in the middle of its schedule, and steps within a batch
RESUMED = {
    "sampling": ("predrnnv2", ("scale.sampling_steps=12",)),
    "stepwise": ("dmvfn", ("model.net.compat=openstl",)),
}


@pytest.mark.usefixtures("_no_images")
@pytest.mark.parametrize(("name", "extra"), RESUMED.values(), ids=RESUMED.keys())
def test_resumed_equals_uninterrupted(tiny_cfg, tmp_path, monkeypatch, name, extra):
    words = [*tiny_overrides(name), *extra, "data.train_sequences=6", "trainer.max_epochs=2"]
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    app.train(tiny_cfg(*words, run_dir=whole))
    train_and_kill(tiny_cfg(*words, run_dir=cut), 4, monkeypatch)
    app.train(tiny_cfg(*words, "resume=true", run_dir=tmp_path / "cut/other"))
    assert_same(final_state(whole), final_state(cut))
