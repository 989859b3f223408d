"""Find, fetch and verify the files of a data set."""

from hydra.utils import instantiate
from omegaconf import DictConfig


def prepare_data(cfg: DictConfig) -> None:
    """Print for every file of ``cfg.data`` where it was found and whether its checksum is right."""
    datamodule = instantiate(cfg.data)
    if origin := getattr(datamodule.family.options, "origin", None):
        print(f"files: {origin}")
    for report in datamodule.family.prepare():
        print(report)
    for name, fact in getattr(datamodule.family, "facts", {}).items():
        print(f"{name}: {fact}")
    print(f"training would use: {datamodule.source}")
