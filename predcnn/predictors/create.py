"""Making a predictor from its name and options."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from predcnn.blocks.protocol import check_options
from predcnn.predictors.protocol import Predictor
from predcnn.registry import PREDICTORS
from predcnn.translators.weights import start_from_backbone


def list_predictors() -> list[str]:
    """Every registered predictor, sorted."""
    return PREDICTORS.names()


def create_predictor(
    name: str,
    *,
    in_shape: Sequence[int],
    frames_out: int | None = None,
    compat: str | None = None,
    translator_weights: str | Path | Mapping[str, object] | None = None,
    **options: object,
) -> Predictor:
    """A predictor (B, T, C, H, W) -> (B, frames_out, C, H, W) by its name.

    Args:
        name: one of `list_predictors`, or the dotted path of a `Predictor` class.
        in_shape: (T, C, H, W) of the past.
        frames_out: number of future frames; T if None.
        compat: None for the repaired form of a published model, "openstl" for the published one.
        translator_weights: checkpoint of a backbone made of the translator's blocks, which start
            from its; see `start_from_backbone`. What was taken is in the predictor's
            ``taken_weights``. No part of ``config``: a saved predictor has its own weights.
        options: the predictor's own options; see its class.

    Raises:
        KeyError: unknown name. TypeError: unknown option, or translator_weights for a predictor
        without a translator. ValueError: values that do not fit.
    """
    cls = PREDICTORS[name]
    if not issubclass(cls, Predictor):
        raise TypeError(f"{name} is no predictor: its class does not derive from Predictor")
    check_options(name, cls, options, implied=("in_shape", "frames_out", "compat"))
    predictor = cls(in_shape, frames_out, compat=compat, **options)
    if translator_weights is not None:
        if not hasattr(predictor, "translator"):
            raise TypeError(f"{name} has no translator that could start from translator_weights")
        predictor.taken_weights = start_from_backbone(predictor.translator, translator_weights)
    return predictor
