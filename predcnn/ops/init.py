"""Initial weights: the schemes of the reference code, applied to a module and all its parts."""

from math import prod, sqrt

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (*CONVOLUTIONS, nn.Linear)


def init_fan_out(module: nn.Module) -> None:
    """Draw convolutions from N(0, 2 / fan_out), fan_out = kernel area * C_out / groups; biases 0.

    Linear layers as `init_trunc_normal`; norms keep torch's 1 and 0.
    """
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS):
            fan_out = prod(part.kernel_size) * part.out_channels // part.groups
            nn.init.normal_(part.weight, std=sqrt(2.0 / fan_out))
            _zero_bias(part)
        elif isinstance(part, nn.Linear):
            init_trunc_normal(part)


def init_trunc_normal(
    module: nn.Module, std: float = 0.02, kinds: type | tuple[type, ...] = LAYERS
) -> None:
    """Draw layers of ``kinds`` from a normal of deviation ``std`` cut at +-2; biases 0."""
    for part in module.modules():
        if isinstance(part, kinds):
            nn.init.trunc_normal_(part.weight, std=std)
            _zero_bias(part)


def _zero_bias(layer: nn.Module) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
