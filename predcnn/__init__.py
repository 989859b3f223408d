"""predcnn: video prediction with interchangeable translators, in PyTorch.

Everything named here is imported at its first use: ``import predcnn`` imports nothing else.
"""

import importlib

_HOMES = {
    "create_backbone": "backbones.create",
    "create_block": "blocks.protocol",
    "create_predictor": "predictors.create",
    "export_openstl_state_dict": "predictors.weights",
    "forecast": "forecasting",
    "list_backbones": "backbones.create",
    "list_blocks": "blocks.protocol",
    "list_datasets": "data",
    "list_predictors": "predictors.create",
    "list_pretrained": "weights.pretrained",
    "list_translators": "translators",
    "load_backbone": "backbones.checkpoint",
    "load_official_weights": "backbones.weights",
    "load_openstl_weights": "predictors.weights",
    "load_predictor": "predictors.checkpoint",
    "profile": "costs",
    "save_predictor": "predictors.checkpoint",
    "save_pretrained": "predictors.hub",
}
_PACKAGES = (
    *(
        "analysis",
        "backbones",
        "blocks",
        "costs",
        "data",
        "forecasting",
        "metrics",
        "native",
        "ops",
    ),
    *("predictors", "pretraining", "registry", "training", "translators", "visual"),
)

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__version__":
        value: object = importlib.import_module("importlib.metadata").version(__name__)
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"predcnn has no {name!r}; it offers {', '.join(sorted(_HOMES))}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
