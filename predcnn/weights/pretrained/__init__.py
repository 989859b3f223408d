"""Small trained predictors that ship with the package, a folder of `predcnn.save_pretrained` each.

A folder holds model.safetensors (float16), config.json and README.md, the model card with data,
protocol, command, commit and metrics.
"""

from pathlib import Path

from predcnn.checks import unknown

PREFIX = "pretrained/"
WEIGHTS = "model.safetensors"
FOLDER = Path(__file__).parent


def list_pretrained() -> list[str]:
    """Return the names of the weights that ship with the package, for `predcnn.load_predictor`."""
    return sorted(f"{PREFIX}{path.parent.name}" for path in FOLDER.glob(f"*/{WEIGHTS}"))


def pretrained_file(name: str) -> Path:
    """Return the weight file of a shipped predictor, given as ``pretrained/NAME``.

    Raises:
        FileNotFoundError: no such name; suggests the closest.
    """
    if name not in list_pretrained():
        raise FileNotFoundError(unknown("shipped weights", name, list_pretrained()))
    return FOLDER / name.removeprefix(PREFIX) / WEIGHTS
