"""Weights and input of the reference logits in data/, and our networks for them."""

import json
import zlib
from math import prod, sqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import predcnn
from predcnn.weights.published import export_openstl_state_dict

DATA = Path(__file__).parent / "data"
SCALES = ("layer_scale", "gamma", "sigma", "alpha")
KEPT = ("A_logs", "Ds")  # as constructed: log(1..N) and ones

SMALL = {"dims": (16, 32, 64, 128), "depths": (1, 1, 2, 1), "groups": (1, 2, 4, 8)}
POST_NORM = {"post_norm": True, "layer_scale": 1e-5, "num_classes": 10}
OURS = {
    "replknet_small_test": (
        "replknet_31b",
        {"dims": (32, 64, 128, 256), "depths": (1, 1, 2, 1), "num_classes": 10},
    ),
    "slak_tiny_w1.0": ("slak_tiny", {"width_factor": 1.0}),
    "internimage_test_postnorm": (
        "internimage_t",
        SMALL
        | POST_NORM
        | {
            "offset_scale": 2.0,
            "center_feature_scale": True,
            "dw_kernel_size": 5,
            "remove_center": True,
        },
    ),
    "flash_internimage_test": (
        "flashinternimage_t",
        SMALL | POST_NORM | {"offset_scale": 0.5, "dw_kernel_size": 3},
    ),
    "vmamba_tiny_s1l8": ("vmamba_tiny", {}),
    "vanilla_vmamba_tiny": ("vmamba_v0_tiny", {}),
}
"""Reference -> our name and options, where they are not simply the same name."""


def load(path: Path) -> tuple[dict, Tensor]:
    """Read the JSON and the logits of one reference."""
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.with_suffix(".json").read_text()), torch.from_numpy(arrays["logits"])


def built(fixture: dict) -> nn.Module:
    """Build our network for a reference, in eval mode."""
    name, options = OURS.get(fixture["name"], (fixture["name"], {}))
    return predcnn.create_backbone(name, **options).eval()


def published_state(fixture: dict, backbone: nn.Module) -> dict[str, Tensor]:
    """Published key -> tensor, without batch counters."""
    own = export_openstl_state_dict(backbone)
    rows = [(key, tuple(shape)) for key, shape, *_ in fixture["keys"] if "num_batches" not in key]
    factor = fixture["layer_scale_factor"]
    return {
        key: own[key] if key.split(".")[-1] in KEPT else _draw(key, shape, factor)
        for key, shape in rows
    }


def _draw(key: str, shape: tuple[int, ...], factor: float) -> Tensor:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("dt_projs_bias"):
        step = np.exp(rng.random(shape) * (np.log(0.1) - np.log(0.001)) + np.log(0.001))
        step = step.clip(1e-4)
        values = step + np.log(-np.expm1(-step))
    elif key.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif key.endswith("running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    elif sum(n > 1 for n in shape) <= 1:
        scale = any(tag in key for tag in SCALES) and not key.endswith("weight")
        center = 1.0 if key.endswith("weight") else 0.5 if scale else 0.0
        values = (center + 0.1 * rng.standard_normal(shape)) * (factor if scale else 1.0)
    else:
        values = rng.standard_normal(shape) / sqrt(prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32).reshape(shape))


def image(size: int = 224) -> Tensor:
    values = np.random.default_rng(20240301).random((1, 3, size, size))
    return torch.from_numpy(values.astype(np.float32))
