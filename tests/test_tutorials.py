"""The notebooks of docs/tutorials run from beginning to end, at a tiny size."""

import os
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parent.parent / "docs/tutorials"
TINY = {
    "train_to_gif": "epochs, sequences, test_sequences = 1, 8, 4",
    "own_block": "steps, test_sequences = 2, 4",
    "own_data": "videos, epochs, sequences, size = 6, 1, 8, 32",
}
"""What replaces the cell tagged "parameters"."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_tutorial_runs(name, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    notebook = nbformat.read(TUTORIALS / f"{name}.ipynb", as_version=4)
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    names = [line.partition(" =")[0] for line in parameters.source.splitlines()]
    assert ", ".join(names) == TINY[name].partition(" =")[0]
    parameters.source = TINY[name]
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    ).execute()
    images = [out for c in notebook.cells for out in c.get("outputs", []) if _is_gif(out)]
    assert len(images) == 1


def _is_gif(output) -> bool:
    return "image/gif" in output.get("data", {})


def test_every_tutorial_is_tested():
    assert {path.stem for path in TUTORIALS.glob("*.ipynb")} == set(TINY)
