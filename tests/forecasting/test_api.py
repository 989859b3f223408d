"""predcnn.forecast: arrays, tensors and files in, a Forecast out."""

import av
import numpy as np
import pytest
import torch

import predcnn
from predcnn.forecasting import Forecast, forecast_clips
from predcnn.predictors import checkpoint as checkpoint_module
from predcnn.weights import files as weight_files
from tests.data.clips import moving_square, write_frames, write_uneven_video

T_IN, SHAPE = 4, (4, 1, 16, 16)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return predcnn.create_predictor(
        "simvp", in_shape=SHAPE, frames_out=3, hid_S=4, hid_T=8, N_S=2, N_T=2
    )


def clip(count: int, *batch: int) -> torch.Tensor:
    return torch.rand(*batch, count, 1, 16, 16, generator=torch.Generator().manual_seed(1))


KINDS = {
    "float32": lambda x: x.numpy(),
    "float64": lambda x: x.numpy().astype(np.float64),
    "half": lambda x: x.numpy().astype(np.float16),
    "uint8": lambda x: (255 * x).round().byte().numpy(),
    "a tensor of doubles": lambda x: x.double(),
    "a tensor of halves": lambda x: x.half(),
    "a tensor of bytes": lambda x: (255 * x).round().byte(),
    "a reversed array": lambda x: np.flip(np.flip(x.numpy(), 0).copy(), 0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (2,)], ids=["one clip", "a batch"])
def test_arrays_of_every_type_are_continued(net, kind, batch):
    frames = clip(9, *batch)
    found = predcnn.forecast(net, KINDS[kind](frames), horizon=5)
    past = frames[..., -T_IN:, :, :, :].reshape(-1, *SHAPE)
    expected = net.predict(past, horizon=5).reshape(*batch, 5, 1, 16, 16)
    torch.testing.assert_close(found.prediction, expected, atol=0.02, rtol=0)
    assert found.to_numpy().dtype == np.float32
    assert found.past.shape == (*batch, *SHAPE)
    assert found.truth is None
    torch.testing.assert_close(found.trial.truth, frames[..., -5:, :, :, :], atol=3e-3, rtol=0)
    predicted = net.predict(KINDS[kind](frames[..., -T_IN:, :, :, :]), horizon=5)
    assert torch.equal(predicted.reshape(expected.shape), found.prediction)


@pytest.mark.parametrize("count", [5, 6, 12])
def test_from_start_on_the_frames_are_the_truth(net, count):
    frames = clip(count)
    found = predcnn.forecast(net, frames, horizon=3, start=T_IN)
    known = min(3, count - T_IN)
    assert torch.equal(found.past, frames[:T_IN])
    assert torch.equal(found.truth, frames[T_IN : T_IN + known])
    errors = found.metrics["prediction"]
    squares = (found.prediction[:known] - found.truth).square()
    assert errors["metrics"]["mse"] == pytest.approx(squares.sum((1, 2, 3)).mean().item(), 1e-5)
    assert errors["metrics"]["mse_per_pixel"] == pytest.approx(squares.mean().item(), 1e-5)
    assert len(errors["per_frame"]["mse"]) == known
    copy = (frames[T_IN - 1] - found.truth).square().mean().item()
    assert found.metrics["copy_last"]["metrics"]["mse_per_pixel"] == pytest.approx(copy, 1e-5)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (0.0, "better than repeating the last frame by 100% (MSE)"),
        (0.25, "better than repeating the last frame by 75% (MSE)"),
        (0.5, "as good as repeating the last frame"),
        (1.0, "worse than repeating the last frame, 4 times its MSE"),
    ],
)
def test_the_verdict_compares_with_repeating_the_last_frame(error, verdict):
    past, truth = torch.zeros(2, 1, 8, 8), torch.full((3, 1, 8, 8), 0.5)
    assert Forecast("a", past, truth + error, truth).verdict == verdict
    assert Forecast("a", past, truth).verdict is None
    still = Forecast("a", past, torch.ones_like(truth), torch.zeros_like(truth), cuts=(2, 3))
    assert still.verdict.startswith("worse than repeating the last frame, which is exact here; ")
    assert "a new scene begins at lead time 2, 3, which" in still.verdict


@pytest.mark.parametrize("ending", ["mp4", "webm", "gif", "png", "npz", "npy"])
@pytest.mark.parametrize("view", ["sequence", "frames", "comparison"])
def test_a_forecast_of_one_frame_is_saved_in_every_format(net, tmp_path, ending, view):
    found = predcnn.forecast(net, clip(8), horizon=1, start=5)
    assert found.save(tmp_path / f"a.{ending}", view=view) == tmp_path / f"a.{ending}"
    assert (tmp_path / f"a.{ending}").stat().st_size > 100
    if ending == "npy":
        assert np.array_equal(np.load(tmp_path / "a.npy"), found.to_numpy())


def test_a_batch_is_saved_as_arrays_only(net, tmp_path):
    found = predcnn.forecast(net, clip(8, 3), horizon=2)
    found.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["prediction"].shape == (3, 2, 1, 16, 16)
    with pytest.raises(ValueError, match="a batch of 3 clips is not a single video"):
        found.save(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"no ending of output 'mp5'; did you mean mp4"):
        found.save(tmp_path / "a.mp5")


def test_a_checkpoint_is_opened_once_and_a_clip_decoded_once(net, tmp_path, monkeypatch):
    path = predcnn.save_predictor(net, tmp_path / "net.safetensors")
    write_uneven_video(tmp_path / "clip.mp4", moving_square(20, 16, 16))
    opened, decoded = [], []
    read, start = weight_files.read_safetensors, av.open
    monkeypatch.setattr(
        checkpoint_module, "read_safetensors", lambda p: opened.append(p) or read(p)
    )
    monkeypatch.setattr(av, "open", lambda *a, **k: decoded.append(a) or start(*a, **k))
    found = predcnn.forecast(path, tmp_path / "clip.mp4", horizon=6)
    assert (len(opened), len(decoded)) == (1, 1)
    assert isinstance(found, Forecast)
    assert (found.name, found.prediction.shape) == ("clip", (6, 1, 16, 16))
    assert found.trial.truth.shape == (6, 1, 16, 16)
    assert found.fps == pytest.approx(20, abs=2)


def test_a_file_of_several_clips_is_refused(net, tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((2, 6, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="holds 2 clips"):
        predcnn.forecast(net, tmp_path / "clips.npy")
    write_frames(tmp_path / "walk", moving_square(6, 16, 16))
    assert predcnn.forecast(net, str(tmp_path / "walk")).prediction.shape == (3, 1, 16, 16)


BAD = {
    "bytes as floats": (255 * clip(5), ValueError, "divide 0..255 by 255 or pass uint8"),
    "NaN": (clip(5) * torch.nan, ValueError, "there is a NaN"),
    "negative": (clip(5).numpy() - 0.5, ValueError, r"must lie in \[0, 1\]"),
    "whole numbers": (torch.ones(5, 1, 16, 16, dtype=torch.long), TypeError, "not torch.int64"),
    "objects": (np.array([[[[None]]]]), TypeError, "array of numbers, not object"),
    "a list": ([[1.0]], TypeError, "not list"),
    "an empty batch": (torch.rand(0, 5, 1, 16, 16), ValueError, "there are no frames"),
    "three axes": (clip(5)[:, 0], ValueError, r"\(T, C, H, W\) or \(B, T, C, H, W\), not 3-D"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("call", [predcnn.forecast, lambda net, frames: net.predict(frames)])
def test_invalid_frames_are_refused_in_one_sentence(net, name, call):
    frames, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call(net, frames)


def test_too_few_frames_and_other_channels_are_refused(net):
    with pytest.raises(ValueError, match="has 3 frames, the checkpoint needs 4 known ones"):
        predcnn.forecast(net, clip(3))
    with pytest.raises(
        ValueError, match=r"frames are \(B, 4, 1, H, W\) for this predictor, not \(1, 4, 3"
    ):
        predcnn.forecast(net, clip(5).expand(-1, 3, -1, -1))


def test_rounding_beyond_the_range_is_accepted(net):
    assert net.predict(clip(4) * 0 + 1.0005).shape == (1, 3, 1, 16, 16)


@pytest.mark.parametrize("model", ["simvp", "convlstm"])
def test_progress_counts_frames_while_one_clip_is_predicted(model, tmp_path):
    net = predcnn.create_predictor(model, in_shape=(3, 1, 16, 16), scale="small")
    np.save(tmp_path / "clip.npy", np.random.rand(12, 16, 16, 1).astype(np.float32))
    heard = []
    forecast_clips(
        net, [tmp_path / "clip.npy"], horizon=7, progress=lambda *line: heard.append(line)
    )
    predicted = [line[1:] for line in heard if line[0] == "frames predicted"]
    assert len(predicted) > 2  # before every pass
    assert predicted == sorted(predicted)
    assert {total for _, total in predicted} == {14}  # with the trial
