"""Files of backbones pre-trained without labels: all weights but the classifier's."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from predcnn.files import replacing
from predcnn.weights.files import check_keys, existing_file, read_safetensors

KEY = "predcnn"
TASK = "pretraining"


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
