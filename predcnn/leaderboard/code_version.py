"""A hash of the sources that decide results.

It covers the syntax trees, without docstrings and comments, of the packages that data, networks
and training come from, and of the train command. Documentation, tests and tables may change
without invalidating a result; configurations are part of a result's resolved config.
"""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
HASHED = (
    "registry.py", "native", "ops", "blocks", "translators", "predictors", "data", "metrics",
    "training", "app/train.py", "app/build.py", "app/allocator.py",
)  # fmt: skip


@functools.cache
def code_version(package: Path = PACKAGE) -> str:
    """Return the SHA-256 of the code that decides results, of this or another copy."""
    joint = hashlib.sha256()
    for place in HASHED:
        path = package / place
        for source in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if source.suffix in (".py", ".cpp", ".h"):
                joint.update(source.relative_to(package).as_posix().encode())
                joint.update(_meaning(source).encode())
    return joint.hexdigest()


def _meaning(source: Path) -> str:
    """Return the syntax tree without docstrings; the text of a compiled kernel."""
    text = source.read_text(encoding="utf-8")
    if source.suffix != ".py":
        return text
    return ast.dump(_WithoutTexts().visit(ast.parse(text)))


class _WithoutTexts(ast.NodeTransformer):
    """Removes statements that are constants: docstrings and ``...``."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node
