"""SimVP with every published translator at both scales: our layout and the reference layout.

The reference is what the published code computes: contiguous maps and, inside `predcnn.ops.plain`,
unfused operators.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import predcnn
from predcnn.ops.drop_path import DropPath

TRANSLATORS = (
    "convmixer", "convnext", "gsta", "hornet", "incepu", "mlpmixer", "moganet", "poolformer",
    "swin", "tau", "uniformer", "van", "vit",
)  # fmt: skip
"""The translators of the published tables; a case is called ``scale translator``."""
SIZES = {
    "small": {"hid_S": 8, "hid_T": 64, "N_S": 4, "N_T": 2},
    "published": {"hid_S": 64, "hid_T": 512, "N_S": 4, "N_T": 8},
}
IN_SHAPE = (10, 1, 64, 64)


@dataclass(frozen=True)
class Pair:
    """A model in our layout, and its copy in the layout of the published code."""

    name: str
    ours: nn.Module
    plain: nn.Module


def pairs(wanted: Callable[[str], bool], scales: tuple[str, ...]) -> Iterator[Pair]:
    """A pair per scale and translator; norms and scales are moved off their initial values."""
    for scale in scales:
        for translator in TRANSLATORS:
            name = f"{scale} {translator}"
            if not wanted(name):
                continue
            torch.manual_seed(0)
            model = predcnn.create_predictor(
                "simvp", in_shape=IN_SHAPE, translator=translator, **SIZES[scale]
            )
            _unsettle(model)
            _calibrate(model)
            plain = copy.deepcopy(model)
            yield Pair(name, model.to(memory_format=torch.channels_last), plain)


@torch.no_grad()
def _unsettle(model: nn.Module) -> None:
    """Make every branch count, and nothing random: layer scales of 0.3, no stochastic depth."""
    for part in model.modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            parameter.fill_(0.3)
        elif parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter), alpha=0.02)


@torch.no_grad()
def _calibrate(model: nn.Module) -> None:
    """Give batch norms the statistics of a clip, or activations grow from block to block."""
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        model.train()(clips(1)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def clips(batch: int) -> tuple[Tensor, Tensor]:
    """Past and future frames of random values in [0, 1]."""
    torch.manual_seed(1)
    return torch.rand(batch, *IN_SHAPE), torch.rand(batch, *IN_SHAPE)
