"""Griffe extension: "Args (others: see X):" of blocks and predictors is a section of arguments."""

import re

import griffe

OTHERS = re.compile(r"^( *)Args \(others: see `([\w.]+)`\):", re.MULTILINE)


class PlainArgs(griffe.Extension):
    """Turn the heading into ``Args:`` and a sentence in front of it."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Rewrite the docstring of an object that griffe has read."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = OTHERS.sub(r"\1Further arguments: `\2`.\n\n\1Args:", text)
