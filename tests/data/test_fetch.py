"""Downloads: complete or not at all, verified, reported, never over an existing file."""

import gzip
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import md5
from pathlib import Path

import pytest

from predcnn.data import create_datamodule
from predcnn.data.generated.moving_mnist import MovingMNIST
from predcnn.data.generated.pools import PoolSource, embedded_digits
from predcnn.data.sources.cifar import CIFAR10
from predcnn.data.sources.idx import MNIST
from predcnn.data.sources.known_files import KnownFile, fetch
from tests.data.writers import IMAGES, idx_bytes, write_batch, write_mnist


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder served over HTTP, and its address."""
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


def test_a_failed_fetch_leaves_no_file(tmp_path: Path, mirror: tuple[Path, str]) -> None:
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


def test_offline_is_one_error_with_the_target_path(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="by hand") as error:
        fetch(tmp_path / "file.gz", ["http://127.0.0.1:9/file.gz"], "0" * 32)
    assert str(tmp_path / "file.gz") in str(error.value)


class Fetchable(MovingMNIST):
    """Moving MNIST with the mirror of a test."""


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


def test_opening_a_split_downloads_missing_files(
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
            known[name] = KnownFile(name, md5(content).hexdigest())
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed = md5((folder / "cifar.tar.gz").read_bytes()).hexdigest()
    small = replace(
        CIFAR10,
        train=(known["data_batch_1"],),
        test=known["test_batch"],
        packed=KnownFile("cifar.tar.gz", packed),
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
