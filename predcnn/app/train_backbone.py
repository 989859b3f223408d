"""Train an ImageNet backbone on a folder of images, choose by validation, test once."""

from omegaconf import DictConfig

from predcnn.app.classifier import CLASSIFICATION
from predcnn.app.train import run


def train_backbone(cfg: DictConfig) -> float:
    """One whole run of ``configs/train_backbone.yaml``; returns the test's top-1 in percent."""
    return run(cfg, CLASSIFICATION)
