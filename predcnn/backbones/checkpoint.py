"""Loading a trained classifier from its checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from predcnn.backbones.create import create_backbone
from predcnn.backbones.pretrained import KEY
from predcnn.registry import BACKBONES
from predcnn.weights.files import existing_file, fill, read_pickle, strip_prefixes

TASK = "classification"
NOT_AN_OPTION = (
    "features_only", "out_indices", "weights", "pretrained", "pretrained_cfg",
    "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable", "exportable",
)  # fmt: skip
"""Options of ``create_backbone`` and timm that load files or make no classifier."""
PLAIN_TIMM = re.compile(r"timm/[\w.]+")


def check_config(config: Mapping[str, object]) -> None:
    """Raise ValueError if options would load a file or make something else than a classifier."""
    wrong = sorted(set(config) & set(NOT_AN_OPTION))
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)}: not an option of a classifier; set initial weights by weights=…"
        )


def read_classifier(path: str | Path) -> tuple[Mapping[str, object], dict[str, Tensor]]:
    """Read {"config", "run", "step", "epoch"} and the state dict of a backbone's checkpoint."""
    path = existing_file(path)
    content = read_pickle(path)
    about = content.get(KEY) if isinstance(content, Mapping) else None
    if not isinstance(about, Mapping) or about.get("task") != TASK:
        raise ValueError(f"{path} is not a checkpoint of scripts/train_backbone.py")
    config, state = about.get("config"), content.get("state_dict")
    if not isinstance(config, Mapping) or not isinstance(state, Mapping):
        raise ValueError(f"{path} is a damaged checkpoint: it has no config or no state_dict")
    if not all(isinstance(key, str) for key in (*config, *state)):
        raise ValueError(f"{path} is a damaged checkpoint: some keys are not strings")
    own = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    position = {"step": content.get("global_step", 0), "epoch": content.get("epoch", 0)}
    return {**about, **position}, strip_prefixes(own, ("_orig_mod.",))


def load_backbone(
    path: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
) -> nn.Module:
    """Load a classifier of ``scripts/train_backbone.py`` in eval mode on ``device``.

    Nothing in the file is executed or downloaded. Only a ``trusted`` file may name a backbone class
    outside this package and timm.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, no such classifier, or weights of another architecture.
    """
    about, state = read_classifier(path)
    config = dict(about["config"])
    name = config.get("name")
    check_config(config)
    known = name in BACKBONES or PLAIN_TIMM.fullmatch(str(name))
    if not known and not trusted:
        raise ValueError(
            f"{path} is built from {name!r}, which is not a backbone of this package or timm: pass "
            "trusted=True (on the command line trusted=true) to import it"
        )
    backbone = create_backbone(**config)
    fill(backbone, f"{path} does not fit the {name} it describes", state)
    return backbone.to(device).eval()
