"""OpenSTL's weights into our predictors and back; `predcnn.weights.published` maps the names."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from predcnn.weights.published import export_published, fit_published, read_state, refuse_merged


def load_openstl_weights(
    predictor: nn.Module, path_or_state_dict: str | Path | Mapping[str, object]
) -> nn.Module:
    """Load weights published for OpenSTL, or trained with it, into a predictor; returns it.

    Accepts a file (.pth, .ckpt, .safetensors) or a dict: a raw state dict or one under
    "state_dict", with the prefixes of Lightning ("model.") and DDP ("module."), from OpenSTL v0.1
    to v1.0 and MogaNet's repository, with or without the index buffers of old timm versions.
    Nothing is changed unless everything fits. Batch counters may be absent.

    Raises:
        FileNotFoundError: no such file. ValueError: unreadable, merged, or keys and shapes that do
        not fit (`KeyMismatchError` lists all of them).
    """
    refuse_merged(predictor)
    predictor.load_state_dict(fit_published(predictor, *read_state(path_or_state_dict)))
    return predictor


def export_openstl_state_dict(
    predictor: nn.Module, values: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the predictor's weights under OpenSTL's names and shapes, see `export_published`."""
    return export_published(predictor, values)
