"""Small trained predictors that ship with the package, each a folder of `predcnn.save_pretrained`.

Weights are float16. The model card states data, protocol, command, commit and metrics.
"""

from pathlib import Path

from predcnn.checks import unknown

PREFIX = "pretrained/"
WEIGHTS = "model.safetensors"
FOLDER = Path(__file__).parent


def list_pretrained() -> list[str]:
    """Return the names of the shipped weights, for `predcnn.load_predictor`."""
    return sorted(f"{PREFIX}{path.parent.name}" for path in FOLDER.glob(f"*/{WEIGHTS}"))


def pretrained_file(name: str) -> Path:
    """Return the weight file of ``pretrained/NAME``; raise FileNotFoundError if there is none."""
    if name not in list_pretrained():
        raise FileNotFoundError(unknown("shipped weights", name, list_pretrained()))
    return FOLDER / name.removeprefix(PREFIX) / WEIGHTS
