"""Tiny recurrent predictors of every kind, found by registration."""

import inspect

import torch
from torch import Tensor

import predcnn
from predcnn.predictors.unrolling import RecurrentPredictor
from predcnn.registry import PREDICTORS

# a small value of every option that sets a size; each predictor takes those that it has
TINY = {
    "num_hidden": (8, 8),
    "filter_size": 3,
    "tau": 2,
    "convlstm_hidden": (8, 64),
    "depths_downsample": (3, 1),
    "depths_upsample": (1, 2),
    "num_heads": (2, 2),
    "embed_dim": 8,
    "num_features": (16, 16, 16),
    "scale": (4, 2, 1),
}
# other forms of the same predictors, tested where the option exists
FORMS = (
    {"layer_norm": True},
    {"cell_mode": "residual", "model_mode": "recall"},
    {"depths": (2, 1), "patch_size": 4, "embed_dim": 16},
    {"depths": 2, "embed_dim": 8},
)
SIZE = (16, 32)


def recurrent_names() -> list[str]:
    """Every registered predictor that has an unroll."""
    found = [name for name in PREDICTORS.names() if hasattr(PREDICTORS[name], "unroll")]
    assert all(issubclass(PREDICTORS[name], RecurrentPredictor) for name in found)
    return found


def options_of(name: str) -> set[str]:
    return set(inspect.signature(PREDICTORS[name].__init__).parameters)


def recurrent_cases() -> list[tuple[str, dict]]:
    """(name, options) of every predictor in every form."""
    cases = [(name, {}) for name in recurrent_names()]
    for form in FORMS:
        cases += [(name, form) for name in recurrent_names() if set(form) <= options_of(name)]
    return cases


def tiny(
    name: str, frames_out: int = 3, *, compat: str | None = None, channels: int = 1, **options
) -> torch.nn.Module:
    """A tiny predictor of three past frames, in eval mode."""
    sizes = {**TINY, "stack_sizes": (channels, 4, 8)}
    sizes = {key: value for key, value in sizes.items() if key in options_of(name)}
    return predcnn.create_predictor(
        name,
        in_shape=(3, channels, *SIZE),
        frames_out=frames_out,
        compat=compat,
        **{**sizes, **options},
    ).eval()


def clip(batch: int = 2, frames: int = 6) -> Tensor:
    return torch.rand(batch, frames, 1, *SIZE)


def truth_up_to(known: int, batch: int, steps: int) -> Tensor:
    """use_truth for which the first ``known`` frames are fed and the rest predicted."""
    return (torch.arange(steps) < known).expand(batch, -1)
