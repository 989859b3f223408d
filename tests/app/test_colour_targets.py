"""Colour in, grey out: data.targets=[grey] for videos and for arrays of three channels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import predcnn
from predcnn.app.demo import EXAMPLE, predicted
from predcnn.app.evaluate import evaluate
from predcnn.app.predict import predict
from predcnn.app.saved_run import load_run
from predcnn.app.train import train
from predcnn.data.clips.video_options import VideoFolderOptions
from predcnn.data.grey import with_grey
from tests.app.test_arrays import NET, TINY, composed
from tests.data.clips import write_frames

LENGTHS = ("data.frames_in=3", "data.frames_out=2", "data.protocol=by_time", "data.stride=5")
BASELINE = "copy_last"


@pytest.fixture
def colours(tmp_path) -> np.ndarray:
    """Coloured noise that moves, (T, H, W, 3) uint8, as images in ``clips/a`` and as ``a.npy``."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    frames = np.stack([np.roll(noise, t, axis=1) for t in range(40)])
    write_frames(tmp_path / "clips/a", frames)
    np.save(tmp_path / "a.npy", frames)
    return frames


def run(folder: Path, name: str, *overrides: str) -> dict:
    net = () if any(text.startswith("model=") for text in overrides) else NET
    settings = (*TINY, *net, *LENGTHS, f"run_dir={folder / name}", *overrides)
    train(composed("train", *settings))
    return json.loads((folder / name / "results.json").read_text())


def videos(folder: Path) -> tuple[str, ...]:
    return ("data=video_folder", f"data.root={folder / 'clips'}", "data.height=16")


def test_videos_of_colours_give_grey(tmp_path, colours):
    found = run(tmp_path, "run", *videos(tmp_path), "data.targets=[grey]")
    assert found["model"]["in_shape"] == [3, 3, 16, 16]
    assert found["definitions"]["mse"].endswith("of grey alone")
    grey = run(tmp_path, "grey", *videos(tmp_path), "data.channels=1")
    for name in ("mse", "ssim"):  # OpenCV's grey rounds differently, by one of 255 at most
        numbers = [results[BASELINE]["metrics"][name] for results in (found, grey)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.01)
    evaluate(composed("evaluate", f"ckpt_path={tmp_path}/run", f"output={tmp_path}/again"))
    assert json.loads((tmp_path / "again/results.json").read_text())["metrics"] == found["metrics"]
    assert (tmp_path / "run/predictions/sequence_000.png").is_file()


def test_a_forecast_of_colours_is_grey(tmp_path, colours):
    run(tmp_path, "run", *videos(tmp_path), "data.targets=[grey]")
    made = composed("predict", f"ckpt_path={tmp_path}/run", f"input={tmp_path}/clips/a",
                    f"output={tmp_path}/future.npy")  # fmt: skip
    predict(made)
    future = np.load(tmp_path / "future.npy")
    assert future.shape == (2, 1, 16, 16)
    values = torch.from_numpy(colours.transpose(0, 3, 1, 2).copy())
    found = predcnn.forecast(tmp_path / "run", values)
    np.testing.assert_allclose(found.to_numpy(), future, atol=1e-5)
    expected = with_grey(values.numpy() / np.float32(255))[-3:, 1:2]
    np.testing.assert_allclose(found.past.numpy(), expected, atol=1e-6)
    assert found.trial.metrics["prediction"]["metrics"]["mse"] > 0
    with pytest.raises(ValueError, match="only grey of red, grey, blue is predicted"):
        predcnn.forecast(tmp_path / "run", values, horizon=3)
    with pytest.raises(ValueError, match="use predcnn predict"):
        predicted(load_run(str(tmp_path / "run")), EXAMPLE, 0, None, None, 2)


def test_an_array_of_colours_gives_the_grey_of_the_same_video(tmp_path, colours):
    array = ("data=array", f"data.root={tmp_path / 'a.npy'}", "data.layout=THWC")
    found = run(tmp_path, "array", *array, "data.targets=[grey]")
    video = run(tmp_path, "video", *videos(tmp_path), "data.targets=[grey]")
    np.testing.assert_allclose(
        list(found[BASELINE]["metrics"].values())[:4], list(video[BASELINE]["metrics"].values())
    )
    assert "rmse(grey)" in found["metrics"]
    made = predcnn.forecast(tmp_path / "array", colours.transpose(0, 3, 1, 2).astype(np.float32))
    from_file = predcnn.forecast(tmp_path / "array", tmp_path / "a.npy")
    np.testing.assert_allclose(made.to_numpy()[:, 1], from_file.to_numpy()[:, 1], atol=2)


def test_recurrent_models_give_grey_with_an_objective_on_the_future(tmp_path, colours):
    settings = (*videos(tmp_path), "data.targets=[grey]", "model=convlstm")
    with pytest.raises(ValueError, match="as objective=mse"):
        run(tmp_path, "own", *settings)
    assert run(tmp_path, "mse", *settings, "objective=mse")["metrics"]["mse"] > 0


@pytest.mark.parametrize(
    ("targets", "message"),
    [("gray", "did you mean"), (["green", "grey"], "grey replaces green"), ("alpha", "red, green")],
)
def test_wrong_targets_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        VideoFolderOptions("clips", targets=targets)


def test_grey_follows_the_standard():
    frames = np.array([255, 0, 0, 0, 255, 0, 0, 0, 255], np.uint8).reshape(3, 3, 1, 1)
    assert with_grey(frames)[:, 1].ravel().tolist() == [76, 150, 29]
    assert with_grey(frames)[:, [0, 2]].tolist() == frames[:, [0, 2]].tolist()
