"""Named classes: one registry per kind of part, filled when a package is imported."""

import importlib
from collections.abc import Callable

from predcnn.checks import unknown


class Registry:
    """Classes of a ``kind`` by name; a dotted path reaches a class outside the package."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[type], type]:
        """Return a decorator that registers a class; ValueError if the name is taken."""

        def add(cls: type) -> type:
            if name in self._classes:
                taken = self._classes[name]
                raise ValueError(
                    f"{self.kind} {name!r} is already {taken.__module__}.{taken.__qualname__}"
                )
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> type:
        if not isinstance(name, str):
            raise TypeError(f"a {self.kind} is named by a string, not {type(name).__name__}")
        if name in self._classes:
            return self._classes[name]
        module, dot, attribute = name.rpartition(".")
        if not dot:
            raise KeyError(unknown(self.kind, name, self.names()))
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ModuleNotFoundError, AttributeError) as error:
            raise KeyError(f"no {self.kind} {name!r}: {error}") from error
        if not isinstance(found, type):
            raise TypeError(f"{name!r} is a {type(found).__name__}, not a class")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def names(self) -> list[str]:
        return sorted(self._classes)


BLOCKS = Registry("block")  # (B, C, H, W) -> (B, C, H, W): the parts of a stack, one per paper
TRANSLATORS = Registry("translator")  # complete translators that are not a stack of blocks
PREDICTORS = Registry("predictor")  # past frames (B, T, C, H, W) -> future frames
BACKBONES = Registry("backbone")  # ImageNet networks, by preset name
PRETRAINING = Registry("pre-training method")
"""Masked image models: (backbone, image size) -> a network that learns from masked pixels."""
