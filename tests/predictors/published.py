"""The weights and inputs of the reference outputs in data/: weights from names, fixed inputs."""

import json
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"
SCALES = ("layer_scale", "gamma", "sigma", "alpha")


def load_fixture(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The JSON and the arrays of one fixture; ``path`` with or without its suffix."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
        return json.loads(path.with_suffix(".json").read_text()), dict(arrays)


def published_state(fixture: dict) -> dict[str, Tensor]:
    """Published key -> tensor. Counters, masks and index buffers, which nothing may read, are 0."""
    rows = {key: (shape, dtype, kind) for key, shape, dtype, kind, *_ in fixture["state_dict"]}
    state = {}
    for key, (shape, dtype, kind) in rows.items():
        source = key
        if kind.startswith("alias:"):
            source = kind.removeprefix("alias:")
            kind = rows[source][2]
        if kind == "kept":
            state[key] = torch.zeros(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
        else:
            state[key] = torch.from_numpy(np.asarray(_draw(source, tuple(shape), kind))).float()
    return state


def _draw(key: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if kind == "var":
        return 0.5 + rng.random(shape)
    normal = rng.standard_normal(shape)
    if kind == "mat":
        return normal / np.sqrt(prod(shape[1:]))
    if kind == "vec" and key.endswith(".weight"):
        return 1 + 0.1 * normal
    if kind == "vec" and any(tag in key for tag in SCALES):
        return 0.03 + 0.01 * normal
    assert kind in ("vec", "mean"), kind
    return 0.1 * normal


def published_input(fixture: dict) -> Tensor:
    shape = tuple(fixture["input_shape"])
    return torch.from_numpy(np.random.default_rng(20240301).random(shape).astype(np.float32))


def published_target(shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(7).random(shape).astype(np.float32))


def gradient_probe(key: str, gradient: Tensor) -> float:
    """The product of a gradient with a random vector that depends on its published name."""
    rng = np.random.default_rng(zlib.crc32(f"grad:{key}".encode()))
    return float(gradient.double().numpy().ravel() @ rng.standard_normal(gradient.numel()))


def distance(actual: Tensor, arrays: dict[str, np.ndarray], name: str = "output") -> float:
    """Largest absolute difference from the stored values of ``name``, complete or sampled."""
    shape = arrays.get(f"{name}_shape")
    assert shape is None or tuple(actual.shape) == tuple(shape.tolist())
    flat = actual.detach().double().numpy().ravel()
    if name in arrays:
        return float(np.abs(flat - arrays[name].ravel()).max())
    return float(np.abs(flat[arrays[f"{name}_idx"]] - arrays[f"{name}_values"]).max())


def tolerance(fixture: dict) -> float:
    """How far an output may be from the reference, by the reference's own rounding noise."""
    return max(2e-5, 20 * fixture["max_abs_diff_float32_vs_float64"])
