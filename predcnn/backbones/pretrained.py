"""Weights of backbones in files: the authors' and timm's, strictly, and pre-trained without labels.

A file of a pre-training without labels has all weights but the classifier's.
"""

import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from predcnn.backbones.staged import StagedBackbone
from predcnn.files import replacing
from predcnn.weights.files import check_keys, existing_file, fill, read_safetensors
from predcnn.weights.published import fit_published, read_state, refuse_merged

KEY = "predcnn"
TASK = "pretraining"

# Names of EfficientNet-PyTorch (https://github.com/lukemelas/EfficientNet-PyTorch): it numbers all
# blocks from 0 and prefixes names with an underscore; timm numbers blocks by stage.
MARK = "_conv_stem.weight"
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
EXCITATION = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
PARTS = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
EXPANDING = dict(zip(PARTS, ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"), strict=True))
PLAIN = dict(zip(PARTS[2:], ("conv_dw", "bn1", "conv_pw", "bn2"), strict=True))  # without expansion


def load_official_weights(
    backbone: nn.Module, path_or_state_dict: str | Path | Mapping[str, object]
) -> nn.Module:
    """Load weights published by a network's authors or timm; return the backbone.

    Accepts a file (.pth, .pth.tar, .safetensors, ...) or a dict: a state dict or one under
    "model", "state_dict" or "module". The backbone is unchanged unless everything fits; for another
    number of classes call ``backbone.reset_classifier(n)`` after loading. If the authors published
    merged branches (RepLKNet, UniRepLKNet), the backbone is merged first.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, or keys and shapes that do not fit (all in `KeyMismatchError`).
    """
    what, state = read_state(path_or_state_dict)
    if not isinstance(backbone, StagedBackbone):
        return _load_timm(backbone, what, state)
    refuse_merged(backbone)
    if backbone.deployed is not None:
        ending, part = backbone.deployed
        if any(key.endswith(ending) for key in state):
            trial = _merged(copy.deepcopy(backbone).to("meta"), part)
            fit_published(trial, what, state)  # raises before the backbone itself is merged
            _merged(backbone, part)
    backbone.load_state_dict(fit_published(backbone, what, state))
    return backbone


def _merged(backbone: StagedBackbone, part: type) -> StagedBackbone:
    """Merge the branches as the authors do for deployment, in place."""
    for module in list(backbone.modules()):
        if isinstance(module, part):
            module.merge_()
    backbone.merged = True
    return backbone


def _load_timm(backbone: nn.Module, what: str, state: dict[str, Tensor]) -> nn.Module:
    """Load into a network of timm, with timm's conversion of the authors' names."""
    if MARK in state and hasattr(backbone, "blocks"):
        state = _timm_names(state, backbone)
    convert = getattr(sys.modules[type(backbone).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        state = convert(state, backbone)
    own = backbone.state_dict()
    state = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")} | state
    fill(backbone, f"{what} does not fit {type(backbone).__name__}", state)
    return backbone


def _timm_names(state: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Rename tensors of EfficientNet-PyTorch for a network of timm; unknown names stay."""
    places = [f"{i}.{j}" for i, stage in enumerate(backbone.blocks) for j in range(len(stage))]
    named = {}
    for key, tensor in state.items():
        first, _, rest = key.partition(".")
        if first == "_blocks":
            number, part, rest = rest.split(".", 2)
            parts = EXPANDING if f"_blocks.{number}._expand_conv.weight" in state else PLAIN
            ours = (parts | EXCITATION).get(part)
            if int(number) < len(places) and ours:
                key = f"blocks.{places[int(number)]}.{ours}.{rest}"
        elif first in OUTSIDE:
            key = f"{OUTSIDE[first]}.{rest}"
        named[key] = tensor
    return named


def save_pretrained(backbone: nn.Module, path: str | Path, about: Mapping[str, object]) -> Path:
    """Write a backbone without classifier and plain values about it to a .safetensors file."""
    path = Path(path)
    state = {k: v.detach().cpu().clone().contiguous() for k, v in backbone.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={KEY: json.dumps({"task": TASK, **about})})
    return path


def start_from_pretrained(backbone: nn.Module, path: object) -> str | None:
    """Load all but the classifier from `save_pretrained`; return a report, None if no such file."""
    if not isinstance(path, str | Path) or Path(path).suffix != ".safetensors":
        return None
    metadata, state = read_safetensors(existing_file(path))
    try:
        about = json.loads(metadata.get(KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: its description is damaged") from error
    if not isinstance(about, dict) or about.get("task") != TASK:
        return None
    bare = copy.deepcopy(backbone)
    bare.prune_intermediate_layers([len(bare.feature_info) - 1], prune_norm=False, prune_head=True)
    expected = {key: value.shape for key, value in bare.state_dict().items()}
    what = f"{path}, a pre-trained {about.get('backbone')}, does not fit {type(backbone).__name__}"
    check_keys(what, state, expected)
    backbone.load_state_dict(state, strict=False)
    left = ", ".join(key for key in backbone.state_dict() if key not in state)
    text = f"{len(state)} tensors loaded from {path} ({about.get('method')})"
    return f"{text}; initial values: {left}" if left else text
