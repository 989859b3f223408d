"""Parameter names of EfficientNet-PyTorch (https://github.com/lukemelas/EfficientNet-PyTorch).

It numbers all blocks from 0 and prefixes names with an underscore; timm numbers blocks by stage.
"""

from collections.abc import Mapping

from torch import Tensor, nn

MARK = "_conv_stem.weight"
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
EXCITATION = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
PLAIN = EXCITATION | {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
EXPANDING = EXCITATION | {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def to_timm_names(state: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Rename tensors of EfficientNet-PyTorch for a network of timm; unknown names stay."""
    places = [f"{i}.{j}" for i, stage in enumerate(backbone.blocks) for j in range(len(stage))]
    named = {}
    for key, tensor in state.items():
        first, _, rest = key.partition(".")
        if first == "_blocks":
            number, part, rest = rest.split(".", 2)
            parts = EXPANDING if f"_blocks.{number}._expand_conv.weight" in state else PLAIN
            if int(number) < len(places) and part in parts:
                key = f"blocks.{places[int(number)]}.{parts[part]}.{rest}"
        elif first in OUTSIDE:
            key = f"{OUTSIDE[first]}.{rest}"
        named[key] = tensor
    return named
