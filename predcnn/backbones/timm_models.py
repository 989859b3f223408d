"""timm's networks by the name ``timm/<name>``, with errors that suggest the closest name."""

import inspect
import re
import sys

import timm
from torch import nn

from predcnn.checks import hint

PREFIX = "timm/"


def create_timm(name: str, **options: object) -> nn.Module:
    """Call ``timm.create_model``; ``drop_path_rate=0`` keeps the network's own default."""
    if not timm.is_model(name.partition(".")[0]):
        near = hint(name, timm.list_models(), PREFIX)
        raise KeyError(
            f"no backbone {PREFIX + name!r}; {near}timm {timm.__version__} does not have it"
        )
    if not options.get("drop_path_rate"):
        options.pop("drop_path_rate", None)
    try:
        return timm.create_model(name, **options)
    except TypeError as error:
        unknown = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword.*'(\w+)'", str(error))
        if unknown is None:
            raise
        raise TypeError(_no_option(name, *unknown.groups())) from error


def _no_option(name: str, cls: str, option: str) -> str:
    """Return the message for an option that a class of timm does not take."""
    module = sys.modules[timm.models.model_entrypoint(name.partition(".")[0]).__module__]
    accepted = []
    if hasattr(module, cls):
        parameters = inspect.signature(getattr(module, cls)).parameters.values()
        accepted = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    listed = f"accepted: {', '.join(accepted)}" if accepted else ""
    return f"{PREFIX + name} has no option {option!r}; {hint(option, accepted)}{listed}"
