"""Data sets: generated and recorded sequences, labelled images, loaders for Lightning.

Names are imported on first use: ``import predcnn.data`` needs neither Lightning nor OpenCV.
"""

import importlib

_HOME = {
    "SETS": "sequences",
    "ImageDataModule": "images.datamodule",
    "SequenceDataset": "sequences",
    "SequenceDataModule": "datamodule",
    "SequenceSampler": "sampler",
    "MovingMNISTOptions": "generated.options",
    "FileReport": "sources.known_files",
    "create_datamodule": "datamodule",
    "create_image_datamodule": "images.datamodule",
    "list_datasets": "datamodule",
    "to_float": "frames",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
