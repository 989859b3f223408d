"""Inputs, parameters and outputs of the reference code, from tests/ops/data."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parent / "data"


def reference(name: str) -> dict[str, Tensor]:
    """Arrays of the file ``op_<name>.npz`` without parameters and configuration."""
    with np.load(DATA / f"op_{name}.npz") as arrays:
        return {
            key: torch.from_numpy(arrays[key])
            for key in arrays.files
            if arrays[key].dtype.kind != "U" and not key.startswith("p.")
        }


def parameters(name: str) -> dict[str, Tensor]:
    """State dict of the operator in the reference code."""
    with np.load(DATA / f"op_{name}.npz") as arrays:
        return {
            key.removeprefix("p."): torch.from_numpy(arrays[key])
            for key in arrays.files
            if key.startswith("p.")
        }


def config(name: str) -> dict:
    """Constructor arguments of the operator in the reference code."""
    with np.load(DATA / f"op_{name}.npz") as arrays:
        return json.loads(str(arrays["cfg"]))


def loaded(module: nn.Module, name: str) -> nn.Module:
    """The module in eval mode with the parameters of the reference code, all keys matched."""
    module.load_state_dict(parameters(name))
    return module.eval()


def assert_near(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal within ``tolerance`` of the largest expected magnitude (at least 1)."""
    assert actual.shape == expected.shape
    scale = max(1.0, expected.abs().max().item())
    error = (actual - expected).abs().max().item()
    assert error <= tolerance * scale, f"off by {error:.2e} at scale {scale:.2e}"
