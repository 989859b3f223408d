"""The one direction of imports, read from the source."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "predcnn"
LAYERS = [
    {"ops"},
    {"blocks"},
    {"backbones", "translators"},
    {"predictors", "pretraining", "analysis"},
    {"training", "forecasting"},
    {"leaderboard"},
    {"app"},
]
# leaves that leaves may import; checks is below registry, whose errors suggest names
ROOTS = {"checks", "cores", "registry", "native", "files"}
# any package may import these; of each other they import only those before them
LEAVES = ["weights", "data", "metrics", "visual", "costs"]
PLAIN = {
    *ROOTS,
    "ops",
    "blocks",
    "backbones",
    "translators",
    "predictors",
    "pretraining",
    "forecasting",
    "metrics",
    "costs",
    "visual",
    "weights",
}
FRAMEWORKS = {"lightning", "pytorch_lightning", "hydra", "omegaconf"}
FILES = sorted(PACKAGE.rglob("*.py"))
# of the standard library after Python 3.10
NEWER = {
    *(f"typing.{name}" for name in ("Self", "Never", "LiteralString", "assert_never", "override")),
    *(f"typing.{name}" for name in ("reveal_type", "Required", "NotRequired", "Unpack")),
    *("tomllib", "enum.StrEnum", "datetime.UTC", "hashlib.file_digest", "contextlib.chdir"),
    *("itertools.batched", "wsgiref.types", "math.cbrt", "math.exp2", "operator.call"),
    *("warnings.deprecated", "collections.abc.Buffer", "copy.replace"),
}

# not on Windows
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
OF_POSIX = {"fork", "getuid", "killpg", "mkfifo", "register_at_fork", "setpgrp", "setsid", "wait4"}


def level(package: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if package in layer)


def imports(path: Path) -> list[str]:
    """Absolute names of everything a file imports, wherever in the file it does."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_package_is_known():
    packages = {package_of(path) for path in FILES} - {"__init__"}
    assert packages <= set().union(*LAYERS) | {*LEAVES, *ROOTS}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    package = package_of(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if package in PLAIN:
            assert top not in FRAMEWORKS, f"{name} in a plain PyTorch package"
        if top != "predcnn" or not rest or package == "__init__":
            continue
        target = rest[0]
        if target in {package, "checks", "files"} or (target in ROOTS and package not in ROOTS):
            continue
        if package in LEAVES and target in LEAVES:
            assert LEAVES.index(target) < LEAVES.index(package), f"{package} imports {name}"
            continue
        assert package not in {*LEAVES, *ROOTS}, f"a leaf imports {name}"
        if target not in LEAVES:
            assert level(target) < level(package), f"{package} imports upward: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_3_10_has_what_is_imported(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    assert not NEWER & {*imports(path), *(name.split(".")[0] for name in imports(path))}


def module_file(name: str) -> Path | None:
    """The file that ``predcnn.a.b.c`` names: a module, a package, or one that holds ``c``."""
    parts = name.split(".")[1:]
    for end in (len(parts), len(parts) - 1):
        place = PACKAGE.joinpath(*parts[:end])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_windows_has_what_is_imported(path):
    text = path.read_text(encoding="utf-8")
    assert not POSIX & {name.partition(".")[0] for name in imports(path)}
    used = {name for name in OF_POSIX if f"os.{name}(" in text}
    assert not {name for name in used if f'hasattr(os, "{name}")' not in text}
    assert "symlink" not in text


def test_no_two_files_import_each_other():
    graph = {}
    for path in FILES:
        names = [name for name in imports(path) if name.startswith("predcnn.")]
        graph[path] = {module_file(name) for name in names} - {None}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(str(path.relative_to(PACKAGE)) for path in error.args[1])
        pytest.fail(f"files import each other in a circle: {circle}")


def test_importing_the_package_imports_nothing():
    code = (
        "import importlib, sys; before = set(sys.modules); import predcnn; "
        "print(sorted(set(sys.modules) - before)); predcnn.__version__; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["['predcnn']", "False"]


def test_data_modules_import_no_decoder():
    code = "import sys, predcnn.data.datamodule; print({'av', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
