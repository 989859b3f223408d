"""The Hydra configuration tree, shipped as ``predcnn.configs``."""
