"""CIFAR-10 batches and arrays are read and verified without executing anything."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predcnn.data import create_datamodule
from predcnn.data.sources.cifar import CIFAR10, read_batch, read_npz
from tests.data.writers import write_batch


@pytest.mark.parametrize("keys", [str, bytes])
@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_batches_of_several_pickle_protocols(
    tmp_path: Path, keys: type, protocol: int
) -> None:
    write_batch(tmp_path / "test_batch", keys=keys, protocol=protocol)
    images = read_batch(tmp_path / "test_batch")
    rows = np.random.default_rng(1).integers(0, 256, (20, 3072), dtype=np.uint8)
    assert images.shape == (20, 32, 32, 3)
    assert np.array_equal(images[3, :, :, 1].ravel(), rows[3, 1024:2048])


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.write_text, (Path("executed"), "boo"))


def test_a_codec_other_than_latin1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"c_codecs\nencode\n(Va\nVrot13\ntR.")
    with pytest.raises(ValueError, match="encoding 'rot13'"):
        read_batch(tmp_path / "test_batch")


def test_a_pickle_that_calls_functions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (Evil(), {"data": Evil()}, {"data": np.array([Evil()], object)}):
        (tmp_path / "test_batch").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match="refused: it asks for"):
            read_batch(tmp_path / "test_batch")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"data": [1]}),
        pickle.dumps({"data": np.zeros((2, 9), np.uint8)}),
        pickle.dumps({"data": np.zeros((2, 3072), np.float32)}),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8)})[:-500],
    ],
)
def test_damaged_batches_are_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match="test_batch"):
        read_batch(tmp_path / "test_batch")


def test_batches_are_verified_by_default(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    write_batch(folder / "data_batch_1")
    write_batch(folder / "test_batch", 5)
    with pytest.raises(ValueError, match="not the published file"):
        CIFAR10.load(folder)
    archive = CIFAR10.load(folder, verify=False)
    assert (len(archive.train), len(archive.test)) == (20, 5)
    (folder / "test_batch").unlink()
    with pytest.raises(FileNotFoundError, match="test_batch"):
        CIFAR10.load(folder, verify=False)


def test_npz_files(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    path = tmp_path / "cifar10.npz"
    np.savez(path, images=images, split=np.arange(40) // 30)
    train, test = read_npz(path)
    assert np.array_equal(np.concatenate([train, test]), images)
    module = create_datamodule("mmnist_cifar", root=str(tmp_path))
    assert f"cifar10 ({path}, 30+10)" in module.source
    assert module.split("train").batch(0, [0]).shape == (1, 20, 3, 64, 64)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="damaged"):
        read_npz(path)
    np.savez(path, images=images.astype(np.float32), split=np.arange(40) // 30)
    with pytest.raises(ValueError, match="float32"):
        read_npz(path)
    np.savez(path, photographs=images)
    with pytest.raises(ValueError, match="lacks"):
        read_npz(path)


def test_batches_written_by_python_2_equal_the_npz_file(shared, tmp_path: Path) -> None:
    npz, writer = shared("data/cifar10_subset.npz"), shared("data/npz_to_cifar.py")
    subprocess.run([sys.executable, writer, npz, tmp_path], check=True)
    train, test = read_npz(npz)
    archive = CIFAR10.load(CIFAR10.locate(tmp_path), verify=False)
    assert (len(train), len(test)) == (5000, 1000)
    assert np.array_equal(archive.train, train)
    assert np.array_equal(archive.test, test)
