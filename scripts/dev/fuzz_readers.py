"""Throw damaged files at every reader: each is read or refused by an error that a user is told of.

``python scripts/dev/fuzz_readers.py --minutes 5`` mutates small valid files and keeps what reaches
lines that nothing reached before. It exits with 1 and leaves the file when a reader raises anything
else than it promises, takes seconds, or executes what the file says.
"""

import argparse
import gzip
import io
import os
import pickle
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

import predcnn
from predcnn.data.clips.decoding import scan
from predcnn.data.clips.sources import find_sources
from predcnn.data.generated.moving_mnist import MovingMNIST
from predcnn.data.images.image_files import read_image
from predcnn.data.sources.cifar import read_batch, read_npz
from predcnn.data.sources.idx import parse_idx, unpack
from predcnn.leaderboard.records import read
from predcnn.weights.files import read_pickle, read_safetensors

HOME = str(Path(predcnn.__file__).parent)
SLOW = 5.0  # seconds
TRIED: list[int] = []
Reader = Callable[[Path], object]


def idx(path: Path) -> np.ndarray:
    """An IDX file as the data set reads it."""
    return parse_idx(unpack(path), path)


def clip(path: Path) -> object:
    """Every frame of a recording."""
    return [scan(source, path.name) for source in find_sources(path)]


def _saved(save: Callable, *what: object, **named: object) -> bytes:
    file = io.BytesIO()
    save(file, *what, **named)
    return file.getvalue()


def _weights(folder: Path, suffix: str) -> bytes:
    net = predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 8, 8), translator="convnext", hid_S=2, hid_T=4, N_S=2, N_T=2
    )
    path = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        predcnn.save_predictor(net, path)
    else:
        state = {f"predictor.{key}": value for key, value in net.state_dict().items()}
        torch.save({"state_dict": state, "predcnn": {"config": net.config}}, path)
    return path.read_bytes()


def targets(folder: Path) -> dict[str, tuple[Reader, str, list[bytes]]]:
    """Name -> (reader, file name, valid files)."""
    images = np.zeros((3, 32, 32, 3), np.uint8)
    split = np.array([0, 0, 1])
    plain = np.array([2051, 2, 4, 4], dtype=">i4").tobytes() + bytes(32)
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}
    frames = np.zeros((20, 1, 64, 64), np.uint8)
    ckpt, tensors = (_weights(folder, suffix) for suffix in (".ckpt", ".safetensors"))
    payload = pickle.dumps({"data": os.mkdir, "labels": 1})
    return {
        "IDX": (idx, "images", [plain]),
        "IDX, packed": (idx, "images.gz", [gzip.compress(plain)]),
        "CIFAR batch": (
            read_batch,
            "batch",
            [*(pickle.dumps(batch, protocol) for protocol in (0, 2, 5)), payload],
        ),
        "CIFAR .npz": (
            read_npz,
            "cifar.npz",
            [_saved(np.savez, images=images, split=split)],
        ),
        "published .npy": (
            MovingMNIST.published.open,
            "frames.npy",
            [_saved(np.save, frames)],
        ),
        "torch file": (read_pickle, "state.ckpt", [ckpt, _saved_torch()]),
        "checkpoint": (predcnn.load_predictor, "weights.ckpt", [ckpt]),
        "safetensors": (read_safetensors, "state.safetensors", [tensors]),
        "predictor": (predcnn.load_predictor, "weights.safetensors", [tensors]),
        "classifier": (predcnn.load_backbone, "classifier.ckpt", [_classifier()]),
        "array": (
            clip,
            "clip.npz",
            [_saved(np.savez, a=images, b=split), _saved(np.savez_compressed, a=images)],
        ),
        "image": (
            read_image,
            "image",
            [_image(kind) for kind in ("png", "jpeg", "gif", "tiff", "bmp", "webp")],
        ),
        "video": (clip, "clip.avi", [_video(folder, "MJPG", "avi"), _video(folder, "mp4v", "mp4")]),
        "records": (read, "records.jsonl", [b'{"schema": 2, "kind": "run", "seed": 1}\n' * 3]),
    }  # fmt: skip


def _saved_torch() -> bytes:
    state = {"weight": torch.zeros(3), "numbers": [1, 2.0, "x", None]}
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def _classifier() -> bytes:
    config = {"name": "van_b0", "num_classes": 2, "dims": [8] * 4, "depths": [1] * 4}
    name = config["name"]
    net = predcnn.create_backbone(name, **{k: v for k, v in config.items() if k != "name"})
    about = {"task": "classification", "config": config, "run": {}}
    state = {f"model.{key}": value for key, value in net.state_dict().items()}
    return _saved(lambda file: torch.save({"state_dict": state, "predcnn": about}, file))


def _image(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    return _saved(lambda file: Image.fromarray(pixels).save(file, kind))


def _video(folder: Path, codec: str, ending: str) -> bytes:
    path = folder / f"clip.{ending}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (32, 32))
    for shade in range(0, 200, 25):
        writer.write(np.full((32, 32, 3), shade, np.uint8))
    writer.release()
    return path.read_bytes()


def mutate(content: bytes, others: list[bytes]) -> bytes:
    """A few small damages: flipped, cut, doubled, overwritten, exchanged."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        place = random.randrange(len(data) + 1)
        # descriptions lie at both ends of most formats
        place = random.choice((place, place % 200, len(data) - place % 300)) if data else 0
        place = max(0, min(place, len(data) - 1))
        kind = random.randrange(6)
        if kind == 0 and data:
            data[place] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[place] = random.choice((0, 1, 0x2E, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            del data[place : place + random.choice((1, 2, 8, 64, 100_000))]
        elif kind == 3:
            data[place:place] = random.randbytes(random.choice((1, 4, 16)))
        elif kind == 4:
            size = random.choice((2, 4, 8))
            number = random.choice((0, 1, 2**31 - 1, 2**31, 2**63, 2**64 - 1)) % 256**size
            data[place : place + size] = number.to_bytes(size, random.choice(("big", "little")))
        else:
            other = random.choice(others)
            start = random.randrange(len(other) + 1)
            data[place : place + 32] = other[start : start + 32]
    return bytes(data)


def traced(reader: Reader, path: Path) -> tuple[set, BaseException | None]:
    """The lines of this package that a reader runs, and what it raises."""
    lines: set[tuple[str, int]] = set()

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        reader(path)
    except Exception as error:
        return lines, error
    finally:
        sys.settrace(None)
    return lines, None


def fuzz(name: str, reader: Reader, path: Path, corpus: list[bytes], seconds: float) -> str | None:
    """Try inputs for some time; returns what was found to be wrong."""
    seen: set = set()
    counts = {"read": 0, "refused": 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        content = mutate(random.choice(corpus), corpus) if any(counts.values()) else corpus[0]
        path.write_bytes(content)
        before, inside = time.process_time(), set(os.listdir(path.parent))
        lines, error = traced(reader, path)
        took = time.process_time() - before
        counts["refused" if error else "read"] += 1
        if error is not None and not isinstance(error, (ValueError, KeyError, TypeError, OSError)):
            return "".join(traceback.format_exception(error))
        if took > SLOW or set(os.listdir(path.parent)) != inside:
            return f"took {took:.1f} s, or left files behind"
        if lines - seen:
            seen |= lines
            corpus.append(content)
    total = sum(counts.values())
    TRIED.append(total)
    print(
        f"{name:16} {total:>8,} inputs: {counts['read']:,} read, {counts['refused']:,} refused, "
        f"{len(seen)} lines reached, {len(corpus)} kept",
        flush=True,
    )
    return None


def main() -> None:
    """Fuzz every reader for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    found = targets(folder)
    for name, (reader, file, corpus) in found.items():
        inside = folder / name.replace(" ", "_")
        inside.mkdir()
        share = 60 * given.minutes / len(found)
        wrong = fuzz(name, reader, inside / file, list(corpus), share)
        if wrong is not None:
            sys.exit(f"{name}: {wrong}\nthe input is {inside / file}")
    print(f"{sum(TRIED):,} inputs in all")


if __name__ == "__main__":
    main()
