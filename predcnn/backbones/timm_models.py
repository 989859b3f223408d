"""Every network of timm behind the name ``timm/<name>``, with errors that name the nearest."""

import difflib
import inspect
import re
import sys

import timm
from torch import nn

PREFIX = "timm/"


def create_timm(name: str, **options: object) -> nn.Module:
    """``timm.create_model``; a stochastic depth of 0 is left to the network's own default.

    Raises:
        KeyError: unknown name. TypeError: an option that the network does not take.
    """
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(PREFIX + other for other in near)}? " if near else ""
        raise KeyError(f"no backbone {PREFIX + name!r}; {hint}timm {timm.__version__} has no such")
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
    """What to say about an option that timm's class of that name does not take."""
    module = sys.modules[timm.models.model_entrypoint(name.partition(".")[0]).__module__]
    accepted = []
    if hasattr(module, cls):
        parameters = inspect.signature(getattr(module, cls)).parameters.values()
        accepted = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    near = difflib.get_close_matches(option, accepted, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = f" accepted: {', '.join(accepted)}" if accepted else ""
    return f"{PREFIX + name} has no option {option!r}{hint or ';'}{listed}"
