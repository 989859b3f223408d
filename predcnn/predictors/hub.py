"""Predictors as the Hugging Face Hub keeps them: a folder of weights, configuration and card.

Layout and names are those of huggingface_hub's ``PyTorchModelHubMixin``: ``model.safetensors``,
``config.json`` (what `predcnn.create_predictor` accepts) and ``README.md``.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from predcnn.weights.files import existing_file

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
CARD_TEXT = """---
library_name: predcnn
tags:
- video-prediction
---

# {title}

Video prediction: {frames_in} past frames of {channels}x{height}x{width} in [0, 1] ->
{frames_out} future frames; longer horizons by feeding predictions back, other sizes by padding
and cropping.

```python
import predcnn, torch

predictor = predcnn.load_predictor("{place}")
past = torch.rand(1, {frames_in}, {channels}, {height}, {width})
future = predictor.predict(past, horizon={frames_out})
```

## Results

{results}

## Configuration

```json
{config}
```
"""


def weights_file(place: str | Path) -> Path:
    """The weight file of a path, of a saved folder, or of a model on the Hub.

    Args:
        place: a file; a folder that holds ``model.safetensors``; or ``user/model``, with
            ``@revision`` where one is meant, if there is no such path here.

    Raises:
        FileNotFoundError: nothing of the kind, here or there.
        ConnectionError: the Hub cannot be reached.
    """
    path = Path(place).expanduser()
    if path.is_dir() and (path / WEIGHTS).is_file():
        return path / WEIGHTS
    named = isinstance(place, str) and NAME.fullmatch(place) and not path.parent.is_dir()
    if named and path.suffix not in (".ckpt", ".safetensors", ".pth", ".pt"):
        return _downloaded(place) / WEIGHTS
    return existing_file(path)


def folder_config(weights: Path) -> Mapping[str, object] | None:
    """The ``config.json`` beside a folder's ``model.safetensors``; None where there is none."""
    place = weights.with_name(CONFIG)
    if weights.name != WEIGHTS or not place.is_file():
        return None
    try:
        config = json.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is no JSON: {error}") from error
    if not isinstance(config, Mapping) or "name" not in config or "in_shape" not in config:
        raise ValueError(
            f"{place} is no configuration of a predcnn predictor: no name and in_shape"
        )
    return config


def model_card(config: Mapping[str, object], place: str, results: Mapping | None) -> str:
    """README.md of a saved folder.

    Args:
        config: of the predictor.
        place: what to load it by.
        results: the content of a run's results.json; None: nobody measured it.
    """
    frames_in, channels, height, width = config["in_shape"]
    block = config.get("translator")
    return CARD_TEXT.format(
        title=f"{config['name']}{f' with {block}' if block else ''}",
        place=place,
        frames_in=frames_in,
        channels=channels,
        height=height,
        width=width,
        frames_out=config["frames_out"],
        results="Not measured." if results is None else _results(results),
        config=json.dumps(config, indent=2),
    )


def _results(results: Mapping) -> str:
    """A table of the metrics beside copy-last's, and what they were measured on."""
    data, copy = results["data"], results["copy_last"]["metrics"]
    count = data["sequences"][data["split"]]
    rows = [
        f"| {name} | {_number(value)} | {_number(copy[name])} | {results['definitions'][name]} |"
        for name, value in results["metrics"].items()
    ]
    return "\n".join([
        f"{data['name']}, {data['split']}, {count:,} sequences, protocol {data['protocol']}, "
        f"{data['source']}; data fingerprint {data['fingerprint'][:12]}, seed {results['seed']}, "
        f"step {results['checkpoint']['step']}.",
        "",
        "| metric | this model | copy last frame | definition |",
        "| --- | --- | --- | --- |",
        *rows,
    ])  # fmt: skip


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"


def _downloaded(name: str) -> Path:
    try:
        import huggingface_hub
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise ImportError(
            f"{name} is no file here, and huggingface_hub is missing: {error}"
        ) from error
    model, _, revision = name.partition("@")
    wanted = {"revision": revision or None, "allow_patterns": [WEIGHTS, CONFIG]}
    try:
        folder = Path(huggingface_hub.snapshot_download(model, **wanted))
    except (LocalEntryNotFoundError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            raise FileNotFoundError(f"no file {name} here, and no such model on the Hub") from error
        raise ConnectionError(
            f"no file {name} here, and the Hugging Face Hub cannot be reached: {error}"
        ) from error
    except HFValidationError as error:
        raise FileNotFoundError(f"no file {name}, and no name of a model: {error}") from error
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{name} on the Hub holds no {WEIGHTS}")
    return folder
