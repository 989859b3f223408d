"""The readers of the package and small valid files for each, for `fuzz_readers`."""

import functools
import gzip
import io
import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import tifffile
import torch
import xarray
import zarr
from PIL import Image

import predcnn
from predcnn.data.clips.decoding import scan
from predcnn.data.clips.sources import find_sources
from predcnn.data.generated.moving_mnist import MovingMNIST
from predcnn.data.images.image_files import read_image
from predcnn.data.sequences import SETS
from predcnn.data.sources.cifar import read_batch, read_npz
from predcnn.data.sources.idx import parse_idx, unpack
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.columns import as_csv, markdown
from predcnn.leaderboard.records import read
from predcnn.leaderboard.runs import read_run
from predcnn.weights.files import read_pickle, read_safetensors

RECORDS = Path(__file__).resolve().parents[2] / "docs/leaderboard/records.jsonl"
Reader = Callable[[Path], object]


def idx(path: Path) -> np.ndarray:
    """An IDX file as the data set reads it."""
    return parse_idx(unpack(path), path)


def clip(path: Path) -> object:
    """Every frame of a recording."""
    return [scan(source, path.name) for source in find_sources(path)]


def tables(path: Path) -> tuple[str, str]:
    """The tables of a leaderboard of strangers' records."""
    made = boards(read(path).rows)
    return markdown(made), as_csv(made)


def array_set(path: Path, inside: int = 0, layout: str | None = "NTHW") -> object:
    """A batch of every split of arrays, read like `data=array`; ``inside``: folders of a store."""
    root = path.parents[inside - 1] if inside else path
    options = {"root": root, "frames_in": 1, "frames_out": 1, "layout": layout}
    family = SETS["array"](SETS["array"].Options(**options))
    return [family.split(name).batch(0, [0]) for name in ("train", "val", "test")]


def _arrays(folder: Path) -> dict[str, tuple[Reader, str, list[bytes]]]:
    numbers = np.random.default_rng(0).normal(size=(6, 12, 5, 6)).astype(np.float32)
    h5, nc, tiff = (folder / f"a.{ending}" for ending in ("h5", "nc", "tif"))
    with h5py.File(h5, "w") as file:
        file.create_dataset("x", data=numbers, chunks=(1, 6, 5, 6), compression="gzip")
    grid = xarray.DataArray(numbers[0], dims=("time", "lat", "lon"), attrs={"units": "K"})
    grid.to_dataset(name="t").to_netcdf(nc, engine="h5netcdf")
    tifffile.imwrite(tiff, (numbers[0] * 99).astype(np.uint16), metadata={"axes": "TYX"})
    store = zarr.create_array(folder / "a.zarr", shape=numbers.shape, chunks=(6, 12, 5, 6),
                              dtype="f4")  # fmt: skip
    store[:] = numbers
    in_time = functools.partial(array_set, layout=None)
    meta, chunk = "a.zarr/zarr.json", "a.zarr/c/0/0/0/0"
    return {
        "arrays, npy": (array_set, "a.npy", [_saved(np.save, numbers)]),
        "arrays, npz": (array_set, "a.npz", [_saved(np.savez, x=numbers)]),
        "arrays, HDF5": (array_set, "a.h5", [h5.read_bytes()]),
        "arrays, netCDF": (in_time, "a.nc", [nc.read_bytes()]),
        "arrays, TIFF": (in_time, "a.tif", [tiff.read_bytes()]),
        "arrays, Zarr": (
            functools.partial(array_set, inside=1), meta, [(folder / meta).read_bytes()],
        ),
        "arrays, Zarr chunk": (
            functools.partial(array_set, inside=5), chunk, [(folder / chunk).read_bytes()],
        ),
    }  # fmt: skip


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
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return _data_files(folder) | _results(folder) | _arrays(folder)


def _data_files(folder: Path) -> dict[str, tuple[Reader, str, list[bytes]]]:
    images = np.zeros((3, 32, 32, 3), np.uint8)
    split = np.array([0, 0, 1])
    plain = np.array([2051, 2, 4, 4], dtype=">i4").tobytes() + bytes(32)
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]}
    frames = np.zeros((20, 1, 64, 64), np.uint8)
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
        "array": (
            clip,
            "clip.npz",
            [_saved(np.savez, a=images, b=images[..., 0]), _saved(np.savez_compressed, a=images)],
        ),
        "image": (
            read_image,
            "image",
            [_image(kind) for kind in ("png", "jpeg", "gif", "tiff", "bmp", "webp")],
        ),
        "video": (clip, "clip.avi", [_video(folder, "MJPG", "avi"), _video(folder, "mp4v", "mp4")]),
    }  # fmt: skip


def _results(folder: Path) -> dict[str, tuple[Reader, str, list[bytes]]]:
    ckpt, tensors = (_weights(folder, suffix) for suffix in (".ckpt", ".safetensors"))
    rows = [line for line in RECORDS.read_bytes().splitlines() if b'"kind": "run"' in line][:2]
    results = json.dumps(json.loads(rows[0])["results"]).encode()
    return {
        "torch file": (read_pickle, "state.ckpt", [ckpt, _saved_torch()]),
        "checkpoint": (predcnn.load_predictor, "weights.ckpt", [ckpt]),
        "safetensors": (read_safetensors, "state.safetensors", [tensors]),
        "predictor": (predcnn.load_predictor, "weights.safetensors", [tensors]),
        "classifier": (predcnn.load_backbone, "classifier.ckpt", [_classifier()]),
        "records": (tables, "records.jsonl", [b"\n".join(rows)]),
        "results.json": (_run, "results.json", [results]),
    }


def _run(path: Path) -> object:
    """A run directory of somebody else."""
    for name, text in (
        ("config.yaml", "seed: 1"),
        ("measured.json", "{}"),
        ("metrics.csv", "step"),
    ):
        (path.parent / name).write_text(text)
    return read_run(path.parent)


def prepare(name: str, path: Path, folder: Path) -> None:
    """Make the folder of an input; a Zarr store has the other files of the valid one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if "Zarr" in name:
        shutil.copytree(folder / "a.zarr", folder / name / "a.zarr", dirs_exist_ok=True)


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
