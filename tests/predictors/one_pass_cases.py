"""Tiny predictors without recurrence, found by registration, and the published configurations."""

import inspect
from pathlib import Path

import torch
from torch import nn

import predcnn
from predcnn.registry import PREDICTORS

predcnn.list_predictors()  # registers them
HERE = Path(__file__).parent / "data_one_pass"
SIZE = (32, 48)

# a small value of every option that sets a size, by predictor
TINY = {
    "simvp": {"hid_S": 8, "hid_T": 16, "N_S": 2, "N_T": 2},
    "predformer": {"patch_size": 8, "dim": 16, "heads": 2, "dim_head": 8, "depth": 2},
    "mmvp": {
        "hid_S": 4,
        "hid_T": 4,
        **{f"rrdb_{part}_num": 1 for part in ("encoder", "decoder", "enhance")},
    },
    "wast": {"encoder_dim": 3, "block_list": (1, 2, 1), "mlp_ratio": 2.0},
}
# other forms of the same predictors
FORMS = {
    "predformer": [
        *({"variant": name} for name in ("full", "facst", "facts", "binaryst", "binaryts")),
        *({"variant": name} for name in ("sts", "tst", "stts")),
        {"horizon_head": "direct"},
    ],
    "simvp": [{"horizon_head": "direct"}],
}


def one_pass_names() -> list[str]:
    """Every registered predictor with weights and without an unroll."""
    names = [name for name in PREDICTORS.names() if not hasattr(PREDICTORS[name], "unroll")]
    return [name for name in names if name not in ("copy_last", "mean_frame")]


def one_pass_cases() -> list[tuple[str, dict]]:
    """(name, options) of every predictor in every form."""
    return [(name, form) for name in one_pass_names() for form in ({}, *FORMS.get(name, []))]


def tiny(name: str, frames_out: int | None = None, *, channels: int = 2, **options) -> nn.Module:
    """A tiny predictor of four past frames, in eval mode."""
    shape = (4, channels, *SIZE)
    return predcnn.create_predictor(
        name, in_shape=shape, frames_out=frames_out, **{**TINY[name], **options}
    ).eval()


def published_options(name: str, fixture: dict, arrays: dict) -> dict:
    """Our names for a fixture's configuration."""
    given = dict(fixture["hyper_parameters"])
    given["frames_out"] = given.pop("aft_seq_length", int(arrays["output_shape"][1]))
    if name == "predformer":
        given["stack_depth"], given["depth"] = given["depth"], given.pop("Ndepth")
        given["variant"] = fixture["variant"].lower()
    accepted = {*inspect.signature(PREDICTORS[name].__init__).parameters}
    assert set(given) <= accepted, set(given) - accepted
    return given


def clip(batch: int = 2, channels: int = 2, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.rand(batch, 4, channels, *size)
