"""A trained classifier back from its checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.backbones.create import create_backbone
from predcnn.registry import BACKBONES
from predcnn.weights.files import (
    check_keys,
    existing_file,
    read_pickle,
    strip_prefixes,
)

KEY = "predcnn"
TASK = "classification"
NOT_AN_OPTION = (
    "features_only", "out_indices", "weights", "pretrained", "pretrained_cfg",
    "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable", "exportable",
)  # fmt: skip
"""Words of ``create_backbone`` and timm that load files or make no classifier."""
PLAIN_TIMM = re.compile(r"timm/[\w.]+")


def check_config(config: Mapping[str, object]) -> None:
    """ValueError if a classifier's options would load a file or make something else."""
    wrong = sorted(set(config) & set(NOT_AN_OPTION))
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)}: no option of a classifier that is trained; its first weights are "
            "weights=…"
        )


def read_classifier(path: str | Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    """Read the description and the weights from a checkpoint of ``scripts/train_backbone.py``.

    Returns {"config", "run", "step", "epoch"} and a state dict.
    """
    path = existing_file(path)
    content = read_pickle(path)
    about = content.get(KEY) if isinstance(content, Mapping) else None
    if not isinstance(about, Mapping) or about.get("task") != TASK:
        raise ValueError(f"{path} is no checkpoint of scripts/train_backbone.py")
    config, state = about.get("config"), content.get("state_dict")
    if not isinstance(config, Mapping) or not isinstance(state, Mapping):
        raise ValueError(f"{path} is a damaged checkpoint: it has no config or no state_dict")
    if not all(isinstance(key, str) for key in (*config, *state)):
        raise ValueError(f"{path} is a damaged checkpoint: its keys are no names")
    own = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    told = {"step": content.get("global_step", 0), "epoch": content.get("epoch", 0)}
    return {**about, **told}, strip_prefixes(own, ("_orig_mod.",))


def load_backbone(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """A classifier from a checkpoint of ``scripts/train_backbone.py``, in eval mode on ``device``.

    Nothing in the file is executed or downloaded; a backbone from outside this package and timm is
    built from a ``trusted`` file only.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, no classifier of ours, or weights of another architecture.
    """
    about, state = read_classifier(path)
    config = dict(about["config"])
    name = config.get("name")
    check_config(config)
    known = name in BACKBONES or PLAIN_TIMM.fullmatch(str(name))
    if not known and not trusted:
        raise ValueError(
            f"{path} is built from {name!r}, which is no backbone of this package or timm: say "
            "trusted=True (on the command line trusted=true) to import what it names"
        )
    backbone = create_backbone(**config)
    expected = {key: value.shape for key, value in backbone.state_dict().items()}
    check_keys(f"{path} does not fit the {name} it describes", state, expected)
    backbone.load_state_dict(state)
    return backbone.to(device).eval()
