"""Reference values of the published methods, and the rule that draws their weights."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / "data"


def reference(name: str) -> tuple[dict[str, Tensor], dict]:
    """The arrays of ``op_<name>.npz`` and its configuration."""
    with np.load(DATA / f"op_{name}.npz") as arrays:
        tensors = {
            key: torch.from_numpy(arrays[key])
            for key in arrays.files
            if arrays[key].dtype.kind != "U"
        }
        return tensors, json.loads(str(arrays["cfg"])) if "cfg" in arrays else {}


def drawn(key: str, shape: Sequence[int]) -> Tensor:
    """The value of a published parameter or statistic, from its key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif key.endswith("running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    elif sum(n > 1 for n in shape) <= 1:
        scale = not key.endswith("weight") and any(
            word in key for word in ("layer_scale", "gamma", "sigma", "alpha")
        )
        centre = 1.0 if key.endswith("weight") else 0.5 if scale else 0.0
        values = centre + 0.1 * rng.standard_normal(shape)
    else:
        values = rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(shape))


def drawn_state(shapes: Mapping[str, Sequence[int]], prefix: str = "") -> dict[str, Tensor]:
    """All drawn values whose published key begins with ``prefix``, which is taken off."""
    return {
        key.removeprefix(prefix): drawn(key, shape)
        for key, shape in shapes.items()
        if key.startswith(prefix) and not key.endswith("num_batches_tracked")
    }
