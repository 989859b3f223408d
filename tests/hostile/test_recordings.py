"""Videos, images, arrays, classifiers and records that are damaged, foreign or malicious."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import predcnn
from predcnn.data.clips.decoding import scan
from predcnn.data.clips.sources import find_sources
from predcnn.data.images.image_files import read_image, read_images
from predcnn.leaderboard.records import read
from tests.data.clips import moving_square, write_video
from tests.hostile.harness import Payload, listing, refused, within


def saved(save: Callable, *what: object, **named: object) -> bytes:
    file = io.BytesIO()
    save(file, *what, **named)
    return file.getvalue()


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


FRAMES = np.zeros((4, 8, 8, 3), np.uint8)
ARRAYS = {
    "empty": (b"", "damaged|cannot be read"),
    "text": (b"hello", "damaged"),
    "a header alone": (saved(np.save, FRAMES)[:128], "damaged|cannot be read"),
    "cut": (saved(np.save, FRAMES)[:-1], "damaged|cannot be read"),
    "text in the header": (npy("import os"), "damaged"),
    "a call in the header": (npy("__import__('os').mkdir('executed')"), "damaged"),
    "brackets in the header": (npy("(" * 100), "damaged"),
    "a size of a petabyte": (
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1125899906842624, 1, 1), }"),
        "damaged|cannot be read",
    ),
    "a negative size": (
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-4, 8, 8), }", bytes(256)),
        "damaged|cannot be read|no frames",
    ),
    "no frames": (saved(np.save, FRAMES[:0]), "no frames"),
    "no pixels": (saved(np.save, FRAMES[:, :0]), "no frames"),
    "one axis": (saved(np.save, np.zeros(7)), "has shape"),
    "six axes": (saved(np.save, np.zeros((1,) * 6)), "has shape"),
    "words": (saved(np.save, np.array([[["a"]]])), "not numbers"),
    "complex numbers": (saved(np.save, FRAMES.astype(complex)), "not numbers"),
    "NaN": (saved(np.save, np.full((4, 8, 8), np.nan)), "NaN or Inf"),
    "infinity": (saved(np.save, np.full((4, 8, 8), np.inf)), "NaN or Inf"),
    "negative values": (saved(np.save, np.full((4, 8, 8), -1.0)), "."),
    "objects": (saved(np.save, np.array([[[None]]]), allow_pickle=True), "damaged"),
}
NPZ = {
    "cut": (saved(np.savez, a=FRAMES)[:300], "damaged"),
    "a plain zip": (saved(lambda f: zipfile.ZipFile(f, "w").writestr("a", "b")), "damaged|numbers"),
    "a bit flipped": (
        saved(np.savez, a=FRAMES)[:200] + b"\x07" + saved(np.savez, a=FRAMES)[201:],
        "damaged",
    ),
    "a pickle inside": (saved(np.savez, a=np.array([[[{}]]], object)), "damaged"),
}
VIDEOS = {
    "empty": (lambda video: b"", "cannot be opened|no frame"),
    "text": (lambda video: b"hello" * 99, "cannot be opened|no frame"),
    "zeros": (lambda video: bytes(5000), "cannot be opened|no frame"),
    "a header alone": (lambda video: video[:64], "cannot be opened|no frame"),
    "half": (lambda video: video[: len(video) // 2], "truncated|cannot be opened|no frame"),
    "an image": (lambda video: png()[:60], "cannot be opened|no frame"),
}


def png(size: tuple[int, int] = (4, 4)) -> bytes:
    return saved(lambda file: Image.new("RGB", size).save(file, "png"))


def bomb() -> bytes:
    """A PNG of a hundred gigapixels."""
    head = struct.pack(">IIBBBBB", 400_000, 250_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + png()[33:]


PICTURES = {
    "empty": b"",
    "text": b"hello",
    "cut": png((64, 64))[:60],
    "a header alone": png()[:30],
    "a hundred gigapixels": bomb(),
    "a web page": b"<!DOCTYPE html><html>404</html>",
    "a pickle": pickle.dumps([1]),
}


def scanned(path: Path) -> Callable[[], object]:
    return lambda: [scan(source, path.name) for source in find_sources(path)]


@pytest.mark.parametrize(("content", "says"), ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays(tmp_path, content, says):
    (tmp_path / "a.npy").write_bytes(content)
    refused(scanned(tmp_path / "a.npy"), says, tmp_path)


@pytest.mark.parametrize(("content", "says"), NPZ.values(), ids=NPZ.keys())
def test_archives(tmp_path, content, says):
    (tmp_path / "a.npz").write_bytes(content)
    refused(scanned(tmp_path / "a.npz"), says, tmp_path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_malicious_arrays_are_not_executed(tmp_path, name):
    evil = np.array([[[Payload(tmp_path)]]], object)
    save = {"a.npy": np.save, "a.npz": np.savez}[name]
    (tmp_path / name).write_bytes(saved(save, evil))
    refused(scanned(tmp_path / name), "damaged", tmp_path)


@pytest.mark.parametrize(("damage", "says"), VIDEOS.values(), ids=VIDEOS.keys())
@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_videos(tmp_path, damage, says, ending):
    video = tmp_path / "video.avi"
    write_video(video, moving_square(12))
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(damage(video.read_bytes()))
    refused(scanned(path), says, tmp_path)


@pytest.mark.parametrize("content", PICTURES.values(), ids=PICTURES.keys())
@pytest.mark.parametrize("reader", ["clip", "training", "analysis"])
def test_images(tmp_path, content, reader):
    path = tmp_path / "frames/0.png"
    path.parent.mkdir()
    path.write_bytes(content)
    readers = {
        "clip": scanned(path.parent),
        "training": lambda: read_image(str(path)),
        "analysis": lambda: read_images([path], 8),
    }
    refused(readers[reader], r"0\.png .*(cannot be read|not an image)|cannot be read", tmp_path)


def classifier() -> dict:
    options = {"num_classes": 2, "dims": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}
    net = predcnn.create_backbone("van_b0", **options)
    state = {f"model.{key}": value for key, value in net.state_dict().items()}
    about = {"task": "classification", "config": {"name": "van_b0", **options}, "run": {}}
    return {"state_dict": state, "predcnn": about, "global_step": 1, "epoch": 0}


def with_config(content: dict, **config: object) -> dict:
    content["predcnn"]["config"] |= config
    return content


CLASSIFIERS = {
    "a list": (lambda c: [c], "not a checkpoint of"),
    "another task": (lambda c: {**c, "predcnn": {"task": "video"}}, "not a checkpoint of"),
    "a configuration of text": (
        lambda c: {**c, "predcnn": {**c["predcnn"], "config": "x"}},
        "has no config or no state_dict",
    ),
    "weights of text": (lambda c: {**c, "state_dict": "x"}, "has no config or no state_dict"),
    "numbers as keys": (lambda c: {**c, "state_dict": {1: torch.zeros(1)}}, "not strings"),
    "numbers as weights": (
        lambda c: {**c, "state_dict": {**c["state_dict"], "model.head.bias": 3}},
        "not tensors",
    ),
    "an unknown backbone": (lambda c: with_config(c, name="van_b99"), "not a backbone of this"),
    "a class of Python": (
        lambda c: with_config(c, name="subprocess.Popen"),
        "not a backbone of this",
    ),
    "a file to load": (lambda c: with_config(c, weights="/etc/passwd"), "weights"),
    "a hub to load from": (
        lambda c: with_config(c, name="timm/hf_hub:x/y"),
        "not a backbone of this",
    ),
    "another width": (lambda c: with_config(c, dims=[16, 16, 16, 16]), "of another shape"),
    "an unknown option": (lambda c: with_config(c, depht=3), "depht"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
def test_classifiers(tmp_path, change, says):
    torch.save(change(classifier()), tmp_path / "a.ckpt")
    refused(lambda: predcnn.load_backbone(tmp_path / "a.ckpt"), says, tmp_path)


GOOD = json.dumps({"schema": 2, "kind": "reproduction", "fingerprint": "x"})
LINES = {
    "text": "hello",
    "half a line": GOOD[:20],
    "a list": "[1]",
    "a number": "7",
    "nothing": "null",
    "brackets": "[" * 100_000,
    "no letters": "\udcff\udcfe",
    "zeros": "\0\0\0",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_a_damaged_record_costs_its_line_only(tmp_path, line):
    path = tmp_path / "records.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n", encoding="utf-8", errors="surrogateescape")
    with within():
        found = read(path)
    assert list(found.ignored) == [2]
    assert found.rows == [json.loads(GOOD)] * 2
    assert listing(tmp_path) == {"records.jsonl"}
