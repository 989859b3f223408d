"""Data files that are damaged, foreign or malicious."""

import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from predcnn.data import create_datamodule
from predcnn.data.arrays.readers import open_arrays
from predcnn.data.generated.moving_mnist import MovingMNIST
from predcnn.data.sources.cifar import CIFAR10, read_batch, read_npz
from predcnn.data.sources.idx import MNIST
from tests.data.writers import idx_bytes, write_batch, write_mnist
from tests.hostile.harness import Payload, refused

NAME = "train-images-idx3-ubyte"


def header(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}i", *numbers)


IDX = {
    "empty": (b"", "not an IDX file of images"),
    "one byte": (b"\0", "not an IDX file of images"),
    "header only": (header(0x803, 1, 28, 28), "truncated or damaged"),
    "labels": (header(0x801, 10) + bytes(18), "not an IDX file of images"),
    "floats": (header(0xD03, 1, 2, 2) + bytes(16), "not an IDX file of images"),
    "four axes": (header(0x804, 1, 1, 2, 2) + bytes(4), "not an IDX file of images"),
    "little-endian": (struct.pack("<4i", 0x803, 1, 2, 2) + bytes(4), "not an IDX file of images"),
    "no images": (header(0x803, 0, 28, 28), "not an IDX file of images"),
    "negative count": (header(0x803, -3, 28, 28), "not an IDX file of images"),
    "negative height": (header(0x803, 3, -28, 28), "not an IDX file of images"),
    "two billion images": (header(0x803, 2**31 - 1, 28, 28), "truncated or damaged"),
    "sizes that overflow": (header(0x803, 2**31 - 1, 2**31 - 1, 2**31 - 1), "truncated or damaged"),
    "a byte too few": (idx_bytes()[:-1], "truncated or damaged"),
    "a byte too many": (idx_bytes() + b"\0", "truncated or damaged"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "not an IDX file of images"),
    "packed without the ending": (gzip.compress(idx_bytes()), "not an IDX file of images"),
    "a pickle": (pickle.dumps(list(range(20))), "not an IDX file of images"),
    "zeros": (bytes(100), "not an IDX file of images"),
}
PACKED = {
    "empty": (b"", "not an IDX file of images"),
    "not packed": (idx_bytes(), "truncated or damaged"),
    "cut": (gzip.compress(idx_bytes())[:900], "truncated or damaged"),
    "another checksum": (gzip.compress(idx_bytes())[:-8] + bytes(8), "truncated or damaged"),
    "rubbish behind": (gzip.compress(idx_bytes()) + b"rubbish", "truncated or damaged"),
    "packed twice": (gzip.compress(gzip.compress(idx_bytes())), "not an IDX file of images"),
}


@pytest.mark.parametrize(("content", "says"), IDX.values(), ids=IDX.keys())
def test_idx(tmp_path, content, says):
    (tmp_path / NAME).write_bytes(content)
    refused(lambda: MNIST.load(tmp_path, with_test=False, verify=False), says, tmp_path)


@pytest.mark.parametrize(("content", "says"), PACKED.values(), ids=PACKED.keys())
def test_packed_idx(tmp_path, content, says):
    (tmp_path / f"{NAME}.gz").write_bytes(content)
    refused(lambda: MNIST.load(tmp_path, with_test=False, verify=False), says, tmp_path)


@pytest.mark.parametrize("size", [(65, 28), (28, 65), (1000, 1000)], ids=str)
def test_images_larger_than_the_canvas(tmp_path, size):
    for part in ("train", "t10k"):
        pixels = np.zeros((24, *size), np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    module = create_datamodule("moving_mnist", root=str(tmp_path), source="mnist", verify=False)
    refused(module.setup, "do not fit", tmp_path)


def pickled(content: object, protocol: int = 2) -> bytes:
    return pickle.dumps(content, protocol=protocol)


ROWS = np.zeros((2, 3072), np.uint8)
BATCHES = {
    "empty": (b"", "not a CIFAR-10 Python batch"),
    "text": (b"hello", "not a CIFAR-10 Python batch"),
    "a list": (pickled([1, 2]), "no 'data'"),
    "no data": (pickled({"labels": [1]}), "no 'data'"),
    "data is text": (pickled({"data": "abc"}), "no 'data'"),
    "floats": (pickled({"data": ROWS.astype(np.float32)}), "no 'data'"),
    "one axis": (pickled({"data": ROWS[0]}), "no 'data'"),
    "CIFAR-sized but short rows": (pickled({"data": ROWS[:, :3071]}), "no 'data'"),
    "three axes": (pickled({"data": ROWS[None]}), "no 'data'"),
    "objects": (pickled({"data": np.array([object()], object)}), "not a CIFAR-10 Python batch"),
    "cut": (pickled({"data": ROWS})[:3000], "not a CIFAR-10 Python batch"),
    "unknown protocol": (b"\x80\x63.", "not a CIFAR-10 Python batch"),
    "an empty stack": (b".", "not a CIFAR-10 Python batch"),
    "an unknown memo": (b"h\x05.", "not a CIFAR-10 Python batch"),
    "a name of another module": (b"cos\nsystem\n(S'true'\ntR.", "asks for os.system"),
    "a name of builtins": (b"cbuiltins\neval\n(S'1'\ntR.", "asks for builtins.eval"),
    "a dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dump_\x93.", "asks for numpy"),
    "another encoding": (b"c_codecs\nencode\n(S'a'\nS'hex'\ntR.", "asks for the encoding"),
    "a length of 2 GiB": (b"\x80\x02B\xff\xff\xff\x7fabc.", "not a CIFAR-10 Python batch"),
    "a negative length": (b"\x80\x02T\xff\xff\xff\xffabc.", "not a CIFAR-10 Python batch"),
}


@pytest.mark.parametrize(("content", "says"), BATCHES.values(), ids=BATCHES.keys())
def test_cifar_batches(tmp_path, content, says):
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    refused(lambda: read_batch(path), says, tmp_path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_batch_is_not_executed(tmp_path, protocol):
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickled({"data": ROWS, "labels": Payload(tmp_path)}, protocol))
    refused(lambda: read_batch(path), "asks for", tmp_path)


def archive(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def member(content: bytes, name: str = "images.npy") -> bytes:
    """An .npz whose two members are ``content``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(name, content)
        packed.writestr("split.npy", content)
    return file.getvalue()


def npy(shape: str, descr: str = "'|u1'", data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """An .npy file with a header of one's choice."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


IMAGES, SPLIT = np.zeros((3, 32, 32, 3), np.uint8), np.array([0, 0, 1])
GOOD = archive(images=IMAGES, split=SPLIT)
ARCHIVES = {
    "empty": (b"", "not an .npy|lacks"),
    "text": (b"no archive", "not an .npy|lacks"),
    "cut": (GOOD[:-200], "not an .npy|lacks"),
    "a flipped bit": (GOOD[:300] + b"\x40" + GOOD[301:], "not an .npy|lacks"),
    "no members": (archive(), "not an .npy|lacks"),
    "images only": (archive(images=IMAGES), "not an .npy|lacks"),
    "split only": (archive(split=SPLIT), "not an .npy|lacks"),
    "one array": (npy("(3,)", data=b"abc"), "not an .npy|lacks"),
    "floats": (archive(images=IMAGES.astype(float), split=SPLIT), "expected uint8"),
    "grey": (archive(images=IMAGES[..., 0], split=SPLIT), "expected uint8"),
    "channels first": (archive(images=IMAGES.swapaxes(1, 3)[:, :, :9], split=SPLIT), "expected"),
    "split too short": (archive(images=IMAGES, split=SPLIT[:2]), "expected uint8"),
    "split is a number": (archive(images=IMAGES, split=np.array(3)), "expected|lacks"),
    "all training": (archive(images=IMAGES, split=SPLIT * 0), "expected uint8"),
    "no images": (archive(images=IMAGES[:0], split=SPLIT[:0]), "expected uint8"),
    "an array of 8 TiB": (member(npy("(8796093022208,)")), "not an .npy|lacks"),
    "a shape that overflows": (
        member(npy("(9223372036854775807, 9)")),
        "not an .npy|lacks",
    ),
    "a negative shape": (member(npy("(-1,)")), "not an .npy|lacks"),
    "a shape of code": (member(npy("__import__('os').getpid()")), "not an .npy|lacks"),
    "an unknown type": (member(npy("(1,)", "'|z9'")), "not an .npy|lacks"),
    "an endless header": (member(npy("(" * 500)), "not an .npy|lacks"),
    "no header": (member(b"\x93NUMPY"), "not an .npy|lacks"),
    "members that are not arrays": (member(b"hello"), "expected uint8"),
}


@pytest.mark.parametrize(("content", "says"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_npz(tmp_path, content, says):
    path = tmp_path / "cifar10.npz"
    path.write_bytes(content)
    refused(lambda: read_npz(path), says, tmp_path)


def test_a_malicious_npz_is_not_executed(tmp_path):
    path = tmp_path / "cifar10.npz"
    objects = np.array([Payload(tmp_path)], dtype=object)
    path.write_bytes(archive(images=objects, split=objects))
    refused(lambda: read_npz(path), "not an .npy|lacks", tmp_path)


TEST = MovingMNIST.published
FRAMES = np.zeros((20, 3, 64, 64), np.uint8)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


PUBLISHED = {
    "empty": (b"", "truncated or not an .npy"),
    "magic only": (b"\x93NUMPY\1\0", "truncated or not an .npy"),
    "cut": (saved(FRAMES)[:-1], "truncated or not an .npy"),
    "text": (b"no array", "truncated or not an .npy"),
    "an archive": (archive(frames=FRAMES), "expected|not an .npy"),
    "two axes": (saved(FRAMES[0, 0]), "expected"),
    "sequences first": (saved(FRAMES.swapaxes(0, 1)), "expected"),
    "frames of 32": (saved(FRAMES[..., :32]), "expected"),
    "ten frames": (saved(FRAMES[:10]), "expected"),
    "int64": (saved(FRAMES.astype(np.int64)), "expected"),
    "float64": (saved(FRAMES.astype(np.float64)), "expected"),
    "complex": (saved(FRAMES.astype(np.complex64)), "expected"),
    "text cells": (saved(FRAMES.astype("U1")), "expected"),
    "no sequences": (saved(FRAMES[:, :0]), "expected|not an .npy|sequences"),
    "16 TiB": (npy("(20, 268435456, 64, 64)"), "truncated or not an .npy"),
    "a shape that overflows": (npy("(20, 9223372036854775807, 64, 64)"), "not an .npy"),
    "a shape of text": (npy("('a',)"), "truncated or not an .npy"),
    "a type of code": (npy("(1,)", "__import__('os')"), "truncated or not an .npy"),
    "version 9": (npy("(1,)", version=b"\x09\0"), "truncated or not an .npy"),
    "a header of 4 GiB": (b"\x93NUMPY\2\0\xff\xff\xff\xff{", "truncated or not an .npy"),
}


def published(folder: Path):
    options = {"protocol": "openstl", "verify": False, "root": str(folder)}
    return create_datamodule("moving_mnist", **options)


@pytest.mark.parametrize(("content", "says"), PUBLISHED.values(), ids=PUBLISHED.keys())
def test_published_npy(tmp_path, content, says):
    (tmp_path / TEST.name).write_bytes(content)
    refused(lambda: published(tmp_path).split("test"), says, tmp_path)


def test_a_malicious_npy_is_not_executed(tmp_path):
    np.save(tmp_path / TEST.name, np.array([Payload(tmp_path)], object), allow_pickle=True)
    refused(lambda: published(tmp_path).split("test"), "truncated or not an .npy", tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 256.0, 0.5], ids=str)
def test_published_floats_that_are_no_pixels(tmp_path, value):
    frames = np.zeros((20, 2, 64, 64), np.float32)
    frames[3, 1, 5, 5] = value
    np.save(tmp_path / TEST.name, frames)
    split = published(tmp_path).split("test")
    refused(lambda: split.batch(0, [1]), "not whole numbers in 0..255", tmp_path)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages_of_a_tiff_in_a_circle(tmp_path, byteorder, bigtiff):
    tifffile = pytest.importorskip("tifffile")
    path, frames = tmp_path / "a.tif", np.zeros((3, 5, 6), np.uint16)
    with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=bigtiff) as writer:
        for frame in frames:
            writer.write(frame, metadata=None)
    assert sum(array.shape[0] for array in open_arrays(path).values()) == 3
    with tifffile.TiffFile(path) as file:
        pages, layout = list(file.pages), file.tiff
    end = pages[2].offset + layout.tagnosize + len(pages[2].tags) * layout.tagsize
    content = bytearray(path.read_bytes())
    content[end : end + layout.offsetsize] = struct.pack(layout.offsetformat, pages[1].offset)
    path.write_bytes(content)
    refused(lambda: open_arrays(path), "its page 3 is followed by an earlier one", tmp_path)


@pytest.mark.parametrize(("page", "says"), [(0, "cannot come from"), (1, "a page of shape")])
def test_a_page_of_a_tiff_that_claims_gigabytes(tmp_path, page, says):
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5, 6), np.uint16), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        places = [item.tags["ImageLength"].valueoffset for item in file.pages]
    content = bytearray(path.read_bytes())
    content[places[page] : places[page] + 4] = struct.pack("<I", 2**28)
    path.write_bytes(content)
    refused(lambda: open_arrays(path)[""].read((slice(4),)), says, tmp_path)


def test_links_folders_and_names_that_are_no_files(tmp_path):
    (tmp_path / NAME).symlink_to(NAME)  # to itself
    (tmp_path / "data_batch_1").mkdir()
    (tmp_path / TEST.name).mkdir()
    options = {"root": str(tmp_path), "verify": False}
    refused(create_datamodule("moving_mnist", source="mnist", **options).setup, NAME, tmp_path)
    refused(create_datamodule("mmnist_cifar", source="cifar10", **options).setup, "cifar", tmp_path)
    assert CIFAR10.locate(tmp_path) is None
    assert TEST.locate(tmp_path) is None


@pytest.mark.parametrize(
    "name", ["ünïcödé 数字 🙂", "a b\tc", "x" * 200, "-rf", "a'b\"c$HOME"], ids=ascii
)
def test_strange_folder_names_work(tmp_path, name):
    root = tmp_path / name
    write_mnist(root)
    write_batch(root / "cifar-10-batches-py/data_batch_1")
    write_batch(root / "cifar-10-batches-py/test_batch")
    module = create_datamodule("mmnist_cifar", root=str(root), verify=False)
    assert module.split("train").batch(0, [0]).shape == (1, 20, 3, 64, 64)
