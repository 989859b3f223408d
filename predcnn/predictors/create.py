"""Predictors from their names and options."""

import inspect
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import yaml
from torch import nn

from predcnn.blocks.protocol import check_options
from predcnn.checks import one_of
from predcnn.registry import PREDICTORS
from predcnn.translators.weights import start_from_backbone

SCALES = ("small", "published", "large")


def list_predictors() -> list[str]:
    """Return the names of all registered predictors, sorted."""
    return PREDICTORS.names()


def create_predictor(
    name: str,
    *,
    in_shape: Sequence[int],
    frames_out: int | None = None,
    compat: str | None = None,
    scale: str | Sequence[int] | None = None,
    translator_weights: str | Path | Mapping[str, object] | None = None,
    **options: object,
) -> nn.Module:
    """Build a predictor (B, T, C, H, W) -> (B, frames_out, C, H, W).

    Args:
        name: one of `list_predictors`, or the dotted path of a `Predictor` class.
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: "openstl" for the published form of a model; None for the repaired one.
        scale: "small", "published" or "large": sizes, which ``options`` override; or DMVFN's own.
        translator_weights: checkpoint of a backbone with the translator's blocks, for their initial
            weights, see `start_from_backbone`; ``taken_weights`` reports them.

    Raises:
        KeyError: unknown name.
        TypeError: unknown option, or translator_weights for a predictor without a translator.
        ValueError: unknown scale, or values that do not fit.
    """
    cls = PREDICTORS[name]
    if not hasattr(cls, "rollout"):
        raise TypeError(f"{name} is not a predictor: its class does not derive from Predictor")
    if isinstance(scale, str):
        options = _sizes_of(name, scale, in_shape, options.get("translator", "gsta")) | options
    elif scale is not None:
        options["scale"] = scale
    check_options(name, cls, options, implied=("in_shape", "frames_out", "compat"))
    predictor = cls(in_shape, frames_out, compat=compat, **options)
    if translator_weights is not None:
        if not hasattr(predictor, "translator"):
            raise TypeError(f"{name} has no translator that could start from translator_weights")
        predictor.taken_weights = start_from_backbone(predictor.translator, translator_weights)
    return predictor


def _sizes_of(
    name: str, scale: str, in_shape: Sequence[int], translator: str | Sequence[str]
) -> dict[str, object]:
    """Return the options that a scale sets for a predictor and its translator."""
    file = files("predcnn.configs") / "model" / f"{name}.yaml"
    if not file.is_file():
        raise ValueError(f"scale= is for the predictors of this package, not for {name}")
    text = file.read_text(encoding="utf-8")
    text = re.sub(r'"\$\{data\.in_shape\.(\d)\}"', lambda axis: str(in_shape[int(axis[1])]), text)
    sizes = yaml.safe_load(text).get("sizes", {key: {} for key in SCALES})
    one_of(f"scale of {name}", scale, sizes)
    has_translator = "translator" in inspect.signature(PREDICTORS[name]).parameters
    return {**sizes[scale], **(_translator_defaults(translator) if has_translator else {})}


def _translator_defaults(translator: str | Sequence[str]) -> dict[str, object]:
    """Return the options of ``configs/translator/<name>.yaml``; of a stack, those of gsta."""
    values = {}
    for name in ("gsta", translator):
        file = files("predcnn.configs") / "translator" / f"{name}.yaml"
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            values |= yaml.safe_load(text)
            # an option may refer to another value of the file
            text = re.sub(r'"\$\{translator\.(\w+)\}"', lambda m, v=values: str(v[m[1]]), text)
            values |= yaml.safe_load(text)
    keys = {"mlp_ratio": "mlp_ratio", "drop_path": "drop_path", "options": "translator_options"}
    return {option: values[key] for key, option in keys.items()}
