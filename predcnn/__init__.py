"""predcnn: video prediction with interchangeable translators, in PyTorch.

Everything is imported at its first use.
"""

import importlib

_HOMES = {
    "create_backbone": "backbones.create",
    "create_block": "blocks.protocol",
    "create_predictor": "predictors.create",
    "export_openstl_state_dict": "weights.published",
    "forecast": "forecasting",
    "list_backbones": "backbones.create",
    "list_blocks": "blocks.protocol",
    "list_datasets": "data",
    "list_predictors": "predictors.create",
    "list_pretrained": "weights.pretrained",
    "list_translators": "translators",
    "load_backbone": "backbones.checkpoint",
    "load_official_weights": "backbones.pretrained",
    "load_openstl_weights": "weights.published",
    "load_predictor": "predictors.checkpoint",
    "profile": "costs",
    "save_predictor": "predictors.checkpoint",
    "save_pretrained": "predictors.hub",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = importlib.import_module("importlib.metadata").version(__name__)
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif importlib.import_module("importlib.util").find_spec(f"{__name__}.{name}"):
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"predcnn has no {name!r}; it offers {', '.join(_HOMES)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
