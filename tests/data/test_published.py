"""Published test files: memory-mapped, verified, with noise, or refused."""

import pickle
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch

from predcnn.data import create_datamodule
from predcnn.data.generated.moving_mnist import MovingMNIST

FRAMES = np.random.default_rng(0).integers(0, 256, (20, 7, 64, 64), dtype=np.uint8)


def _write(root: Path, frames: np.ndarray = FRAMES, name: str = "mnist_test_seq.npy") -> Path:
    path = root / "moving_mnist" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, frames)
    return path


def _module(root: Path, name: str = "moving_mnist", **options: object):
    options = {"protocol": "openstl", "verify": False, **options}
    return create_datamodule(name, root=str(root), **options)


def test_the_published_file_is_the_test_split(tmp_path: Path) -> None:
    path = _write(tmp_path)
    module = _module(tmp_path)
    dataset = module.split("test")
    assert len(dataset) == 7
    assert dataset.batch(0, [5, 0]).shape == (2, 20, 1, 64, 64)
    assert np.array_equal(dataset.batch(3, [5])[0, :, 0].numpy(), FRAMES[:, 5])
    assert str(path.parent) in module.source
    assert "7 published sequences" in module.source
    assert module.description["sequences"] == "10,000 train, 200 val, 7 test"
    assert len(_module(tmp_path, test_sequences=3).split("test")) == 3
    with pytest.raises(ValueError, match="has 7 sequences, not data"):
        _module(tmp_path, test_sequences=8).setup()


def test_validation_does_not_use_the_published_file(tmp_path: Path) -> None:
    _write(tmp_path)
    module = _module(tmp_path)
    test = {frame.tobytes() for frame in module.split("test").batch(0, range(7)).numpy()}
    val = {frame.tobytes() for frame in module.split("val").batch(0, range(200)).numpy()}
    assert not val & test


def test_fewer_frames_are_the_first_ones(tmp_path: Path) -> None:
    _write(tmp_path)
    dataset = _module(tmp_path, frames_in=4, frames_out=3).split("test")
    assert np.array_equal(dataset.batch(0, [2])[0, :, 0].numpy(), FRAMES[:7, 2])


@pytest.mark.parametrize(
    "option",
    [{"height": 96}, {"digits": 3}, {"speed": 0.2}, {"frames_out": 11}, {"noise": "dynamic"}],
)
def test_another_task_is_generated_and_reported(tmp_path: Path, option: dict) -> None:
    _write(tmp_path)
    module = _module(tmp_path, **option)
    assert "generated in place of mnist_test_seq.npy" in module.source
    assert len(module.split("test")) == 1000


def test_isolated_and_embedded_ignore_the_published_file(tmp_path: Path) -> None:
    _write(tmp_path)
    for options in ({"protocol": "isolated"}, {"source": "embedded"}):
        assert "npy (" not in _module(tmp_path, **options).source


@pytest.mark.parametrize("noise", ["perceptual", "missing"])
def test_noise_changes_only_input_frames(tmp_path: Path, noise: str) -> None:
    _write(tmp_path, FRAMES.clip(1))
    dataset = _module(tmp_path, noise=noise).split("test")
    frames = dataset.batch(0, range(7)).numpy()[:, :, 0]
    clean = FRAMES.clip(1).swapaxes(0, 1)
    assert np.array_equal(frames[:, 10:], clean[:, 10:])
    black = (frames[:, :10] == 0).sum((2, 3))
    expected = {24 * 24} if noise == "perceptual" else {0, 64 * 64}
    assert set(black.ravel()) == expected
    assert np.array_equal(frames[3], dataset.batch(0, [3])[0, :, 0])


def test_colour_and_float_files(tmp_path: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 256, (20, 3, 64, 64, 3), dtype=np.uint8)
    _write(tmp_path, colour, "mnist_cifar_test_seq.npy")
    frames = _module(tmp_path, "mmnist_cifar").split("test").batch(0, [1])
    assert np.array_equal(frames[0].numpy(), colour[:, 1].transpose(0, 3, 1, 2))
    _write(tmp_path, FRAMES.astype(np.float32))
    frames = _module(tmp_path).split("test").batch(0, [1])
    assert frames.dtype == torch.uint8
    assert np.array_equal(frames[0, :, 0].numpy(), FRAMES[:, 1])
    _write(tmp_path, FRAMES.astype(np.float32) / 255)
    with pytest.raises(ValueError, match="not whole numbers"):
        _module(tmp_path).split("test").batch(0, [1])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAMES[:19], "expected uint8 or float32"),
        (FRAMES[:, :, :32], "expected uint8 or float32"),
        (FRAMES.astype(np.int64), "int64"),
        (FRAMES[:, :0], "expected uint8 or float32"),
    ],
)
def test_other_shapes_and_types_are_refused(
    tmp_path: Path, frames: np.ndarray, message: str
) -> None:
    _write(tmp_path, frames)
    with pytest.raises(ValueError, match=message):
        _module(tmp_path).setup()


@pytest.mark.parametrize("keep", [0, 50, 100_000])
def test_a_truncated_file_is_an_error_at_setup(tmp_path: Path, keep: int) -> None:
    path = _write(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="truncated"):
        _module(tmp_path).setup()


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    _write(tmp_path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"not an \.npy file"):
        _module(tmp_path).setup()


def test_the_published_checksum_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path)
    with pytest.raises(ValueError, match="not the published file"):
        _module(tmp_path, verify=True).setup()
    known = replace(MovingMNIST.published, md5=md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(MovingMNIST, "published", known)
    module = _module(tmp_path, verify=True)
    before = module.fingerprint
    assert module.family.prepare()[-1].verified == "MD5 of the published file"
    _write(tmp_path, FRAMES[:, ::-1])
    assert _module(tmp_path).fingerprint != before


def test_a_pickled_dataset_does_not_contain_the_file(tmp_path: Path) -> None:
    _write(tmp_path)
    dataset = _module(tmp_path).split("test")
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 10_000
    assert torch.equal(pickle.loads(pickled).batch(0, [4]), dataset.batch(0, [4]))
