"""Finding, verifying, fetching and refusing data files."""

import gzip
import http.server
import io
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from predcnn.data import cifar, create_datamodule, idx
from predcnn.data.cifar import CIFAR10, read_batch, read_npz
from predcnn.data.files import fetch
from predcnn.data.idx import FASHION_MNIST, MNIST, parse_idx, unpack
from predcnn.data.moving_mnist import MovingMNIST
from predcnn.data.pools import PoolSource, embedded_digits

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)


def idx_bytes(images: np.ndarray = IMAGES, magic: int = 0x0803) -> bytes:
    return struct.pack(">4i", magic, *images.shape) + images.tobytes()


def write_mnist(folder: Path, *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        content = idx_bytes(IMAGES if part == "train" else IMAGES[:10] // 2)
        name = f"{part}-images-idx3-ubyte"
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def write_batch(path: Path, count: int = 20, *, keys: type = str, protocol: int = 2) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (count, 3072), dtype=np.uint8)
    data, labels = ("data", "labels") if keys is str else (b"data", b"labels")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({data: rows, labels: [0] * count}, protocol=protocol))


# --- where files are looked for, and what the source is called


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
def test_a_demanded_set_that_is_missing(
    tmp_path: Path, name: str, source: str, missing: str
) -> None:
    module = create_datamodule(name, root=str(tmp_path), source=source)
    with pytest.raises(FileNotFoundError) as error:
        module.setup()
    assert missing in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert f"prepare_data.py data={name} data.download=true" in str(error.value)


def test_half_a_set_is_an_error_not_a_reason_to_embed(tmp_path: Path) -> None:
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


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no folder"):
        create_datamodule("moving_mnist", root=str(tmp_path / "nowhere")).setup()


# --- IDX


def test_an_altered_file_names_both_checksums(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    found = md5(idx_bytes()).hexdigest()
    with pytest.raises(ValueError, match="not the published file") as error:
        create_datamodule("moving_mnist", root=str(tmp_path)).setup()
    assert found in str(error.value)
    assert MNIST.train.md5 in str(error.value)
    assert "data.verify=false" in str(error.value)


def test_a_file_of_another_set_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = replace(MNIST.train, md5=md5(idx_bytes()).hexdigest())
    monkeypatch.setattr(idx, "MNIST", replace(MNIST, train=train))
    write_mnist(tmp_path)
    with pytest.raises(ValueError, match="it is a file of mnist, which belongs in mnist/"):
        FASHION_MNIST.load(tmp_path, with_test=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: 0 bytes"),
        (idx_bytes()[:10], "truncated: 10 bytes"),
        (idx_bytes()[:-1], "truncated or damaged"),
        (idx_bytes() + b"x", "truncated or damaged"),
        (idx_bytes(magic=0x0801), "no IDX file of images"),
        (struct.pack(">4i", 0x0803, -1, 28, 28), "no IDX file of images"),
        (struct.pack(">4i", 0x0803, 2**30, 28, 28), "its header announces"),
    ],
)
def test_damaged_idx(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_idx(content, Path("train-images-idx3-ubyte"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "not gzip"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
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


def test_a_truncated_file_is_called_truncated_before_altered(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is truncated or damaged"):
        create_datamodule("moving_mnist", root=str(tmp_path)).setup()


def test_the_whole_mnist_verifies_and_splits_without_overlap(shared) -> None:
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


# --- CIFAR-10


@pytest.mark.parametrize("keys", [str, bytes])
@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_batches_of_every_age(tmp_path: Path, keys: type, protocol: int) -> None:
    write_batch(tmp_path / "test_batch", keys=keys, protocol=protocol)
    images = read_batch(tmp_path / "test_batch")
    rows = np.random.default_rng(1).integers(0, 256, (20, 3072), dtype=np.uint8)
    assert images.shape == (20, 32, 32, 3)
    assert np.array_equal(images[3, :, :, 1].ravel(), rows[3, 1024:2048])


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.write_text, (Path("executed"), "boo"))


def test_no_codec_but_latin1(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(b"c_codecs\nencode\n(Va\nVrot13\ntR.")
    with pytest.raises(ValueError, match="encoding 'rot13'"):
        read_batch(tmp_path / "test_batch")


def test_a_pickle_that_wants_to_run_something_is_refused(
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
        b"no pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"data": [1]}),
        pickle.dumps({"data": np.zeros((2, 9), np.uint8)}),
        pickle.dumps({"data": np.zeros((2, 3072), np.float32)}),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8)})[:-500],
    ],
)
def test_damaged_batches(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match="test_batch"):
        read_batch(tmp_path / "test_batch")


def test_batches_are_verified_unless_told_otherwise(tmp_path: Path) -> None:
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


def test_the_npz_form(tmp_path: Path) -> None:
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
    np.savez(path, pictures=images)
    with pytest.raises(ValueError, match="lacks"):
        read_npz(path)


def test_batches_written_by_python_2_hold_the_images_of_the_npz(shared, tmp_path: Path) -> None:
    npz, writer = shared("data/cifar10_subset.npz"), shared("data/npz_to_cifar.py")
    subprocess.run([sys.executable, writer, npz, tmp_path], check=True)
    train, test = read_npz(npz)
    archive = CIFAR10.load(CIFAR10.locate(tmp_path), verify=False)
    assert (len(train), len(test)) == (5000, 1000)
    assert np.array_equal(archive.train, train)
    assert np.array_equal(archive.test, test)


# --- fetching


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that is served over HTTP, and its address."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_fetch_is_complete_or_not_at_all(tmp_path: Path, mirror: tuple[Path, str]) -> None:
    folder, address = mirror
    (folder / "file").write_bytes(b"right")
    (folder / "bad").write_bytes(b"wrong")
    target = tmp_path / "here" / "file"
    right = md5(b"right").hexdigest()
    with pytest.raises(ConnectionError, match="expected"):
        fetch(target, [address + "bad", address + "nothing"], right)
    assert not list(target.parent.iterdir())
    fetch(target, [address + "nothing", address + "bad", address + "file"], right)
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_bytes() == b"right"


def test_offline_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="by hand") as error:
        fetch(tmp_path / "file.gz", ["http://127.0.0.1:9/file.gz"], "0" * 32)
    assert str(tmp_path / "file.gz") in str(error.value)


class Fetchable(MovingMNIST):
    """Moving MNIST whose mirror is a test's."""


def _fetchable(monkeypatch: pytest.MonkeyPatch, mirror: tuple[Path, str]) -> None:
    folder, address = mirror
    write_mnist(folder)
    parts = {}
    for part, known in (("train", MNIST.train), ("test", MNIST.test)):
        packed = (folder / known.packed).read_bytes()
        raw = md5(gzip.decompress(packed)).hexdigest()
        parts[part] = replace(known, md5=raw, packed_md5=md5(packed).hexdigest())
    fetchable = replace(MNIST, mirrors=("http://127.0.0.1:9/", address), **parts)
    monkeypatch.setattr(Fetchable, "sprites", PoolSource(fetchable, embedded_digits))


def test_download_fetches_verifies_and_reports(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fetchable(monkeypatch, mirror)
    options = {"root": str(tmp_path / "data"), "source": "mnist"}
    name = f"{__name__}.Fetchable"
    before = create_datamodule(name, **options).family.prepare()
    assert [report.status for report in before] == ["missing", "missing"]
    first = create_datamodule(name, **options, download=True).family.prepare()
    assert [report.status for report in first] == ["downloaded", "downloaded"]
    assert all(len(r.sha256) == 64 and r.size and "MD5" in r.verified for r in first)
    assert str(first[0]).startswith("downloaded")
    again = create_datamodule(name, **options, download=True).family.prepare()
    assert [report.status for report in again] == ["present", "present"]
    module = create_datamodule(name, **options)
    assert module.source == f"mnist ({tmp_path / 'data' / 'mnist'}, IDX)"

    damaged = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(gzip.compress(idx_bytes(IMAGES[::-1])))
    with pytest.raises(ValueError, match="not the published file"):
        create_datamodule(name, **options, download=True).family.prepare()
    assert damaged.read_bytes() == gzip.compress(idx_bytes(IMAGES[::-1]))  # never replaced


def test_opening_a_split_downloads_without_a_call_to_prepare(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fetchable(monkeypatch, mirror)
    module = create_datamodule(f"{__name__}.Fetchable", root=str(tmp_path / "d"), download=True)
    module.setup("fit")
    assert module.source.startswith("mnist (")


def test_cifar_is_unpacked_from_the_published_archive(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = mirror
    known = {}
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as tar:
        for name in ("data_batch_1", "test_batch"):
            write_batch(tmp_path / name)
            content = (tmp_path / name).read_bytes()
            known[name] = cifar.KnownFile(name, md5(content).hexdigest())
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed = md5((folder / "cifar.tar.gz").read_bytes()).hexdigest()
    small = replace(
        CIFAR10,
        train=(known["data_batch_1"],),
        test=known["test_batch"],
        packed=cifar.KnownFile("cifar.tar.gz", packed),
        mirrors=(address + "cifar.tar.gz",),
    )
    root = tmp_path / "data"
    assert len(small.fetch(root)) == 2
    archive = small.load(small.locate(root))
    assert (len(archive.train), len(archive.test)) == (20, 20)
    assert small.fetch(root) == set()
    (root / small.folders[0] / "test_batch").unlink()
    (root / "cifar.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="delete it"):
        small.fetch(root)
