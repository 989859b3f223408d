"""Initial weights: the few schemes that the published blocks use, applied to a whole tree."""

from math import prod, sqrt

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def init_fan_out(module: nn.Module) -> None:
    """Convolutions N(0, 2 / fan_out), fan_out = kernel area * C_out / groups; linear layers as
    `init_trunc_normal`; biases 0. Norms keep torch's 1 and 0.
    """
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS):
            fan_out = prod(part.kernel_size) * part.out_channels // part.groups
            nn.init.normal_(part.weight, std=sqrt(2.0 / fan_out))
            _zero_bias(part)
        elif isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            _zero_bias(part)


def init_trunc_normal(module: nn.Module, std: float = 0.02) -> None:
    """Convolutions and linear layers from a normal of deviation ``std`` cut at +-2; biases 0."""
    for part in module.modules():
        if isinstance(part, (*CONVOLUTIONS, nn.Linear)):
            nn.init.trunc_normal_(part.weight, std=std)
            _zero_bias(part)


def _zero_bias(layer: nn.Module) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
