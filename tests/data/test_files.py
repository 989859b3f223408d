"""Search for data files, the reported source, and IDX files."""

import gzip
import struct
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import pytest

from predcnn.data import create_datamodule
from predcnn.data.generated.moving_mnist import MovingMNIST
from predcnn.data.generated.pools import embedded_digits
from predcnn.data.sources import idx
from predcnn.data.sources.cifar import CIFAR10
from predcnn.data.sources.idx import FASHION_MNIST, MNIST, parse_idx, unpack
from tests.data.writers import idx_bytes, write_mnist


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw", "moving_mnist"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found_in_every_layout(tmp_path: Path, folder: str, packed: bool) -> None:
    write_mnist(tmp_path / folder, packed=packed)
    module = create_datamodule("moving_mnist", root=str(tmp_path), verify=False)
    assert module.source.startswith(f"mnist ({tmp_path / folder}")
    assert "unverified" in module.source
    assert len(module.split("train")._sprites) == 28  # 30 less every 12th


def test_without_files_the_source_is_embedded(tmp_path: Path) -> None:
    module = create_datamodule("moving_mnist", root=str(tmp_path))
    assert module.source == "embedded (2,000+500 MNIST digits)"


@pytest.mark.parametrize(
    ("name", "source", "missing"),
    [
        ("moving_mnist", "mnist", "train-images-idx3-ubyte"),
        ("mmnist_cifar", "mnist", "train-images-idx3-ubyte"),
        ("mmnist_cifar", "cifar10", "cifar-10-batches-py"),
        ("moving_fmnist", "auto", "fashion_mnist"),
    ],
)
def test_a_requested_set_that_is_missing_is_an_error(
    tmp_path: Path, name: str, source: str, missing: str
) -> None:
    module = create_datamodule(name, root=str(tmp_path), source=source)
    with pytest.raises(FileNotFoundError) as error:
        module.setup()
    assert missing in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert f"prepare_data.py data={name} data.download=true" in str(error.value)


def test_an_incomplete_set_is_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    module = create_datamodule("moving_mnist", root=str(tmp_path), verify=False)
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
        module.setup()
    published = create_datamodule(
        "moving_mnist", root=str(tmp_path), verify=False, protocol="openstl"
    )
    published.setup()  # draws from the training digits alone
    assert len(published.split("test")._sprites) == 30


def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        create_datamodule("moving_mnist", root=str(tmp_path / "nowhere")).setup()


def test_an_altered_file_names_both_checksums(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    found = md5(idx_bytes()).hexdigest()
    with pytest.raises(ValueError, match="not the published file") as error:
        create_datamodule("moving_mnist", root=str(tmp_path)).setup()
    assert found in str(error.value)
    assert MNIST.train.md5 in str(error.value)
    assert "data.verify=false" in str(error.value)


def test_a_file_of_another_set_is_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = replace(MNIST.train, md5=md5(idx_bytes()).hexdigest())
    monkeypatch.setattr(idx, "MNIST", replace(MNIST, train=train))
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match="it is a file of mnist and belongs in mnist/"):
        FASHION_MNIST.load(tmp_path, with_test=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file of images"),
        (idx_bytes()[:10], "not an IDX file of images"),
        (idx_bytes()[:-1], "truncated or damaged"),
        (idx_bytes() + b"x", "truncated or damaged"),
        (idx_bytes(magic=0x0801), "not an IDX file of images"),
        (struct.pack(">4i", 0x0803, -1, 28, 28), "not an IDX file of images"),
        (struct.pack(">4i", 0x0803, 2**30, 28, 28), "truncated or damaged"),
    ],
)
def test_damaged_idx_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_idx(content, Path("train-images-idx3-ubyte"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "not gzip"])
def test_damaged_gzip_is_an_error(tmp_path: Path, damage: str) -> None:
    content = bytearray(gzip.compress(idx_bytes()))
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content = bytearray(b"<html>404</html>")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="truncated or damaged"):
        unpack(path)


def test_a_truncated_file_is_reported_as_truncated(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is truncated or damaged"):
        create_datamodule("moving_mnist", root=str(tmp_path)).setup()


def test_complete_mnist_verifies_and_splits_without_overlap(shared) -> None:
    module = create_datamodule("moving_mnist", root=str(shared("data")), source="mnist")
    sizes = [len(module.split(name)._sprites) for name in ("train", "val", "test")]
    assert sizes == [55_000, 5_000, 10_000]
    seen = [
        {image.tobytes() for image in module.split(name)._sprites}
        for name in ("train", "val", "test")
    ]
    assert not seen[0] & seen[1]
    assert not (seen[0] | seen[1]) & seen[2]
    embedded = embedded_digits()
    full = module.family._archives[0]
    assert {image.tobytes() for image in embedded.train} <= {i.tobytes() for i in full.train}


def test_mirrors_and_checksums_are_those_of_torchvision() -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    for ours, theirs in ((MNIST, datasets.MNIST), (FASHION_MNIST, datasets.FashionMNIST)):
        assert list(ours.mirrors) == theirs.mirrors
        for known in (ours.train, ours.test):
            assert (known.packed, known.packed_md5) in theirs.resources
    assert CIFAR10.mirrors == (datasets.CIFAR10.url,)
    assert CIFAR10.packed.md5 == datasets.CIFAR10.tgz_md5
    batches = [[known.name, known.md5] for known in CIFAR10.train]
    assert batches == datasets.CIFAR10.train_list
    assert [[CIFAR10.test.name, CIFAR10.test.md5]] == datasets.CIFAR10.test_list
    assert MovingMNIST.published.url == datasets.MovingMNIST._URL
