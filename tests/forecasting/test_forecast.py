"""predict.py input=…: any clip, any size, any horizon, and how far to trust it."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import predcnn
from predcnn.app import cli
from predcnn.app.console import Progress
from predcnn.app.predict import predict
from predcnn.data.clips.decoding import read_frames
from predcnn.data.clips.index import index_clips
from predcnn.forecasting import forecast_clips
from tests.app.test_train import command_cfg
from tests.data.clips import CARPHONE, moving_square, write_frames, write_video

T_IN = 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A grey SimVP of four frames of 16x16; what it predicts is not the point."""
    torch.manual_seed(0)
    net = predcnn.create_predictor(
        "simvp", in_shape=(T_IN, 1, 16, 16), frames_out=3, hid_S=4, hid_T=8, N_S=2, N_T=2
    )
    return predcnn.save_predictor(net, tmp_path_factory.mktemp("net") / "net.safetensors")


def run(checkpoint: Path, given: object, output: Path, *words: str) -> None:
    names = f"[{','.join(map(str, given))}]" if isinstance(given, list) else str(given)
    overrides = [f"ckpt_path={checkpoint}", f"input='{names}'", f"output={output}", *words]
    if isinstance(given, list):
        overrides[1] = f"input={names}"
    predict(command_cfg("predict", *overrides))


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as content:
        return dict(content)


def grey(frames: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) RGB bytes -> (1, T, 1, H, W), to one grey level."""
    weights = np.array([0.299, 0.587, 0.114])
    return torch.from_numpy((frames @ weights)[None, :, None] / 255).float()


def test_every_kind_of_input_gives_the_same_prediction(checkpoint, tmp_path, monkeypatch):
    frames = moving_square(9)
    np.save(tmp_path / "clip.npy", frames)
    write_frames(tmp_path / "walk", frames)
    np.savez(tmp_path / "clip.npz", x=frames[None].transpose(0, 1, 4, 2, 3) / 255.0)
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=8")
    found = arrays(tmp_path / "a.npz")
    assert (found["prediction"].shape, found["past"].shape) == (
        (1, 8, 1, 24, 32),
        (1, 4, 1, 24, 32),
    )
    net = predcnn.load_predictor(checkpoint)
    expected = net.predict(torch.from_numpy(found["past"]), horizon=8)
    torch.testing.assert_close(torch.from_numpy(found["prediction"]), expected)
    torch.testing.assert_close(
        torch.from_numpy(found["past"]), grey(frames[-4:]), atol=2e-3, rtol=0
    )
    for given in ("walk", "clip.npz"):
        run(checkpoint, tmp_path / given, tmp_path / "b.npz", "horizon=8")
        other = arrays(tmp_path / "b.npz")["prediction"]
        np.testing.assert_allclose(other, found["prediction"], atol=1e-2)
    stdin = SimpleNamespace(buffer=io.BytesIO(frames.tobytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    run(checkpoint, "-", tmp_path / "c.npz", "horizon=8", "raw_shape=[24,32,3]")
    np.testing.assert_array_equal(arrays(tmp_path / "c.npz")["prediction"], found["prediction"])


def test_a_video_of_the_future_and_a_trial_on_the_past(checkpoint, tmp_path, capsys):
    write_video(tmp_path / "clip.avi", moving_square(20))
    run(checkpoint, tmp_path / "clip.avi", tmp_path / "frames.mp4", "horizon=6", "view=frames")
    video = index_clips(tmp_path / "frames.mp4").clips[0]
    assert (video.frames, video.height, video.width, video.fps) == (6, 24, 32, 10)
    run(checkpoint, tmp_path / "clip.avi", tmp_path / "future.mp4", "horizon=6")
    video = index_clips(tmp_path / "future.mp4").clips[0]
    assert (video.frames, video.fps) == (T_IN + 6, 10)
    assert min(video.height, video.width) >= 7 * 24, "input and prediction, enlarged"
    errors = json.loads((tmp_path / "future_trial.json").read_text())
    assert len(errors["prediction"]["per_frame"]["mse"]) == 6
    past = grey(_decoded(tmp_path / "clip.avi")[10:14])
    truth = grey(_decoded(tmp_path / "clip.avi")[14:])
    copy = (past[:, -1:] - truth).square().sum((0, 2, 3, 4)).mean().item()
    assert errors["copy_last"]["metrics"]["mse"] == pytest.approx(copy, rel=2e-2)
    assert (tmp_path / "future_trial.png").stat().st_size > 500
    assert (tmp_path / "future_trial_lead_times.png").stat().st_size > 500
    printed = capsys.readouterr().out
    assert "frames 16..19 of 20, 32x24 as they are (trained on 16x16" in printed
    assert "-> 6 frames, predictions fed back after 3" in printed
    assert "compared with the 6 true frames: mse" in printed
    assert "mse_per_pixel" in printed
    assert "clip: worse than repeating the last frame, " in printed
    assert "times its MSE: train longer or try model.net.residual=true" in printed
    assert errors["verdict"].startswith("worse than repeating the last frame")
    assert errors["scene_cuts"] == []
    assert "future.mp4 (h264)" in printed


def test_a_scene_cut_in_the_truth_is_noted(checkpoint, tmp_path, capsys):
    frames = moving_square(20)
    frames[16:] = 255 - frames[16:]
    np.save(tmp_path / "clip.npy", frames)
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=6")
    assert "a new scene begins at lead time 3, which cannot be foreseen" in capsys.readouterr().out
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=2")
    assert "new scene" not in capsys.readouterr().out
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=3", "frame_step=2")
    assert json.loads((tmp_path / "a_trial.json").read_text())["scene_cuts"] == [2]


def test_shipped_weights_do_not_ask_to_train_longer_on_digits(tmp_path, capsys):
    np.save(tmp_path / "clip.npy", moving_square(30, 64, 64))
    run("pretrained/simvp_moganet_moving_mnist", tmp_path / "clip.npy", tmp_path / "a.npz")
    assert "It was trained on moving_mnist: train on clips like this" in capsys.readouterr().out


def test_long_work_reports_its_progress(checkpoint, tmp_path):
    write_video(tmp_path / "clip.avi", moving_square(20))
    np.save(tmp_path / "other.npy", moving_square(5))
    seen = []
    forecast_clips(
        predcnn.load_predictor(checkpoint),
        [tmp_path / "clip.avi", tmp_path / "other.npy"],
        horizon=7,
        batch_size=1,
        progress=lambda *what: seen.append(what),
    )
    assert seen[:20] == [("clip.avi: frames read", i) for i in range(1, 21)]
    passes = [0, 3, 6, 7, 10, 13, 14, 17, 20]  # three passes of three frames; two clips and a trial
    assert seen[20:] == [("frames predicted", i, 21) for i in passes]


def test_progress_is_a_line_every_few_seconds(capsys):
    Progress(seconds=3600)("frames read", 5)
    assert capsys.readouterr().out == ""
    progress = Progress(seconds=0)
    progress("frames read", 5)
    progress("frames predicted", 1000, 3000)
    assert capsys.readouterr().out == "frames read: 5\nframes predicted: 1,000 of 3,000\n"


def _decoded(path: Path) -> np.ndarray:
    index = index_clips(path)
    return read_frames(index.folder, index.clips[0], range(index.clips[0].frames))


def test_starting_in_the_middle_compares_with_what_followed(checkpoint, tmp_path):
    np.save(tmp_path / "clip.npy", moving_square(12))
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=6", "start=8")
    errors = json.loads((tmp_path / "a_trial.json").read_text())
    assert len(errors["prediction"]["per_frame"]["mse"]) == 4, "only four frames follow"
    past = torch.from_numpy(arrays(tmp_path / "a.npz")["past"])
    torch.testing.assert_close(past, grey(moving_square(12)[4:8]), atol=2e-3, rtol=0)


def test_sizes_are_what_was_asked_for(checkpoint, tmp_path):
    np.save(tmp_path / "clip.npy", moving_square(6, 20, 30))
    for words, size in (([], (20, 30)), (["size=model"], (16, 16)), (["size=[8,10]"], (8, 10))):
        run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", *words)
        assert arrays(tmp_path / "a.npz")["prediction"].shape == (1, 3, 1, *size)


def test_several_inputs_share_passes_and_get_their_own_files(checkpoint, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([moving_square(9), moving_square(9, shade=90)]))
    write_video(tmp_path / "größer b.avi", moving_square(9, 40, 48))
    given = [tmp_path / "a.npy", f"'{tmp_path / 'größer b.avi'}'"]
    run(checkpoint, given, tmp_path / "out", "formats=[gif,npz]", "view=comparison")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    for stem in ("a[0]", "a[1]", "größer b"):
        assert {f"{stem}.gif", f"{stem}.npz", f"{stem}_trial.json"} <= names
    alone = tmp_path / "alone.npz"
    np.save(tmp_path / "second.npy", moving_square(9, shade=90))
    run(checkpoint, tmp_path / "second.npy", alone)
    together = arrays(tmp_path / "out/a[1].npz")["prediction"]
    np.testing.assert_allclose(together, arrays(alone)["prediction"], atol=1e-5)


OPTIONS = {
    "convlstm": {"num_hidden": (8, 8), "filter_size": 3},
    "simvp": {"N_T": 2, "hid_T": 8, "hid_S": 8, "translator": "vit"},
    "copy_last": {},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_kind_of_predictor_goes_on(name, tmp_path):
    options = OPTIONS[name]
    net = predcnn.create_predictor(name, in_shape=(3, 3, 16, 16), frames_out=2, **options)
    path = predcnn.save_predictor(net, tmp_path / "net.safetensors")
    np.save(tmp_path / "clip.npy", moving_square(5, 18, 22))
    run(path, tmp_path / "clip.npy", tmp_path / "a.npz", "horizon=7", "size=native")
    found = arrays(tmp_path / "a.npz")["prediction"]
    assert found.shape == (1, 7, 3, 18, 22)
    assert np.isfinite(found).all()


def test_a_model_trained_on_every_second_frame_sees_every_second_frame(checkpoint, tmp_path):
    np.save(tmp_path / "clip.npy", moving_square(20))
    run(checkpoint, tmp_path / "clip.npy", tmp_path / "a.npz", "frame_step=3", "horizon=2")
    past = torch.from_numpy(arrays(tmp_path / "a.npz")["past"])
    torch.testing.assert_close(past, grey(moving_square(20)[10::3]), atol=2e-3, rtol=0)
    assert (tmp_path / "a_trial.json").exists()


@pytest.fixture
def refused(checkpoint, monkeypatch, tmp_path):
    """``refused("input=x")``: the one sentence; nothing is left behind."""
    monkeypatch.chdir(tmp_path)

    def attempt(*words: str) -> str:
        before = {path for path in tmp_path.rglob("*") if "output" not in path.name}
        argv = ["predict.py", f"ckpt_path={checkpoint}", "output=made", *words]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            cli.run("predict")
        assert set(tmp_path.rglob("*")) <= before, "something was left behind"
        return stop.value.code

    return attempt


def test_unusable_input_gives_one_sentence(refused, tmp_path, monkeypatch):
    np.save("short.npy", moving_square(3))
    np.save("flow.npy", np.zeros((1, 9, 2, 16, 16)))
    np.save("long.npy", moving_square(9))
    Path("torn.mp4").write_bytes(CARPHONE.read_bytes()[:9000])
    Path("nothing").mkdir()
    cases = {
        ("input=short.npy",): r"short has 3 frames, the checkpoint needs 4 known ones",
        ("input=flow.npy",): r"has 2 channels, 1 are wanted",
        ("input=torn.mp4",): "torn.mp4 cannot be opened",
        ("input=gone.mp4",): "no file or folder gone.mp4",
        ("input=nothing",): "no clip under nothing",
        ("input=long.npy", "horizon=0"): "positive integer, not 0",
        ("input=long.npy", "frame_step=0"): "frame_step is a whole number, at least 1, not 0",
        ("input=long.npy", "start=2"): "needs 4 known ones before frame 2",
        ("input=long.npy", "start=40"): "start=40: long has the frames 0..8",
        ("input=long.npy", "size=modell"): "did you mean model",
        ("input=long.npy", "size=[0,3]"): "size is native, model or",
        ("input=long.npy", "fit=squash"): "no fit 'squash'",
        ("input=long.npy", "view=movie"): "no view 'movie'",
        ("input=[long.npy,long.npy]", "output=a.mp4"): "2 clips do not fit into one file a.mp4",
        ("input=long.npy", "output=a.mov"): "no ending of output 'mov'",
        ("input=-",): "raw_shape=",
    }
    for words, message in cases.items():
        assert message in refused(*words), words
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"12345")))
    assert "5 bytes on standard input are not a multiple of the 4 bytes of a frame" in refused(
        "input=-", "raw_shape=[2,2,1]"
    )


def test_a_mixed_folder_names_what_it_leaves_out(checkpoint, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.avi", moving_square(9))
    (tmp_path / "in/torn.mp4").write_bytes(b"torn")
    run(checkpoint, tmp_path / "in", tmp_path / "out", "formats=[gif]")
    assert "left out: torn.mp4 cannot be opened" in capsys.readouterr().out
    assert (tmp_path / "out/a.gif").exists()
