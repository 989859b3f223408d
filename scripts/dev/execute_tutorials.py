"""Execute the notebooks of docs/tutorials and store their outputs: `execute_tutorials.py [NAME …]`.

Paths of this machine, terminal colours and remarks on its load are removed, long lists shortened.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat

TUTORIALS = Path(__file__).resolve().parents[2] / "docs/tutorials"
WIDTH = "88"  # of tables, in characters: what fits a page of the site
LARGEST = 300_000  # bytes of a notebook
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LOAD = re.compile(r"a step: about|other programs use|^steps take|OMP_NUM_THREADS")
DIGEST = re.compile(r"(sha256 \w{8})\w{56}")
LISTED = 4  # files of a list that are kept


def execute(path: Path) -> None:
    """Execute a notebook in a temporary folder and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, timeout=None, resources=where).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = stored(cell.outputs, folder)
    notebook.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(notebook)
    if len(text.encode()) > LARGEST:
        raise ValueError(f"{path.name} with its outputs has more than {LARGEST:,} bytes")
    path.write_text(text + "\n", encoding="utf-8")


def stored(outputs: list, folder: str) -> list:
    """Return the outputs of a cell: one text, then images and values."""
    text = "".join(out.text for out in outputs if out.output_type == "stream")
    kept = [out for out in outputs if out.output_type != "stream"]
    if lines := tidy(COLOUR.sub("", text), folder):
        kept.insert(0, nbformat.v4.new_output("stream", name="stdout", text=lines + "\n"))
    return kept


def tidy(text: str, folder: str) -> str:
    """Return a text without paths of this machine, remarks on its load and most of a long list."""
    text = re.sub(re.escape(folder) + r"/(\S+)", lambda m: m[1].ljust(len(m[0])), text)
    lines = [DIGEST.sub(r"\1…", line.rstrip()) for line in text.splitlines()]
    lines = [line for line in lines if line and not LOAD.search(line)]
    listed = [i for i, line in enumerate(lines) if line.startswith("present ")]
    if len(listed) > LISTED:
        hidden = listed[LISTED - 2 : -1]
        lines[hidden[0] : hidden[-1] + 1] = [f"… {len(hidden)} more …"]
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["COLUMNS"] = WIDTH
    for name in sys.argv[1:] or sorted(path.stem for path in TUTORIALS.glob("*.ipynb")):
        execute(TUTORIALS / f"{name}.ipynb")
        print(f"{name}: executed")
