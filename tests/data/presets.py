"""Data modules of the configuration files."""

from pathlib import Path

from predcnn.data import SequenceDataModule


def preset(name: str, root: Path, *overrides: str) -> SequenceDataModule:
    from hydra import compose, initialize_config_module
    from hydra.utils import instantiate

    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", [f"data={name}", f"data.root={root}", *overrides])
    return instantiate(cfg.data)
