"""predcnn: video prediction with interchangeable translators, in PyTorch.

Everything named here is imported when it is first used: ``import predcnn`` costs nothing.
"""

import importlib

_HOMES = {
    "list_translators": "predcnn.translators",
    "list_predictors": "predcnn.predictors.create",
    "list_backbones": "predcnn.backbones.create",
    "create_block": "predcnn.blocks.protocol",
    "create_predictor": "predcnn.predictors.create",
    "load_predictor": "predcnn.predictors.checkpoint",
    "save_predictor": "predcnn.predictors.checkpoint",
    "load_backbone": "predcnn.backbones.checkpoint",
    "save_pretrained": "predcnn.predictors.checkpoint",
    "load_openstl_weights": "predcnn.predictors.weights",
    "export_openstl_state_dict": "predcnn.predictors.weights",
    "create_backbone": "predcnn.backbones.create",
    "load_official_weights": "predcnn.backbones.weights",
    "profile": "predcnn.costs",
}
_ROOMS = (
    "analysis",
    "backbones",
    "blocks",
    "costs",
    "data",
    "metrics",
    "native",
    "ops",
    "predictors",
    "pretraining",
    "registry",
    "training",
)
_ROOMS += ("translators", "visual")

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"predcnn has no {name!r}; it offers {', '.join(sorted(_HOMES))}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
