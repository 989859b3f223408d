"""Predictors in folders for the Hugging Face Hub, in the layout of ``PyTorchModelHubMixin``.

A folder holds ``model.safetensors``, ``config.json`` (which `predcnn.create_predictor` accepts) and
the model card ``README.md``.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from predcnn.files import write_text
from predcnn.predictors.checkpoint import CONFIG, WEIGHTS, load_predictor, save_predictor

CARD = "README.md"


def save_pretrained(
    predictor: nn.Module,
    folder: str | Path,
    *,
    results: str | Path | Mapping | None = None,
    name: str | None = None,
) -> Path:
    """Write weights, config.json and a model card into a folder, in the layout of the Hub.

    Args:
        folder: created if needed; `load_predictor` reads it.
        results: a run's results.json (path or content) for the card.
        name: what the card's example loads, such as "user/model"; None: the folder.

    Raises:
        OSError: the folder cannot be written.
        ValueError: ``results`` is not the content of a results.json.
    """
    folder = Path(folder).expanduser()
    if isinstance(results, str | Path):
        results = json.loads(Path(results).read_text(encoding="utf-8"))
    try:
        card = model_card(predictor.config, name or str(folder), results)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"results are not the content of a results.json: {error!r}") from error
    save_predictor(predictor, folder / WEIGHTS)
    write_text(folder / CONFIG, json.dumps(predictor.config, indent=2))
    write_text(folder / CARD, card)
    return folder


def model_card(config: Mapping[str, object], place: str, results: Mapping | None) -> str:
    """Return the README.md of a saved folder.

    Args:
        place: the path or name that the example loads.
        results: the content of a run's results.json; None: not measured.
    """
    frames_in, channels, height, width = config["in_shape"]
    block = config.get("translator")
    return f"""---
library_name: predcnn
tags:
- video-prediction
---

# {config["name"]}{f" with {block}" if block else ""}

Video prediction: {frames_in} past frames of {channels}x{height}x{width} in [0, 1] ->
{config["frames_out"]} future frames; longer horizons by feeding predictions back, other sizes by
padding and cropping.

```python
import predcnn, torch

predictor = predcnn.load_predictor("{place}")
past = torch.rand(1, {frames_in}, {channels}, {height}, {width})
future = predictor.predict(past, horizon={config["frames_out"]})
```

## Results

{"Not measured." if results is None else _results(results)}

## Configuration

```json
{json.dumps(config, indent=2)}
```
"""


def _results(results: Mapping) -> str:
    """Return the source of the numbers and a table of the metrics next to those of copy-last."""
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


class Publishing:
    """Saving to and loading from folders and the Hub, as methods of every predictor."""

    save_pretrained = save_pretrained

    @classmethod
    def from_pretrained(
        cls, place: str | Path, *, device: str | torch.device = "cpu", trusted: bool = False
    ) -> nn.Module:
        """Load by `predcnn.load_predictor`; raise TypeError for a predictor of another class."""
        found = load_predictor(place, device=device, trusted=trusted)
        if not isinstance(found, cls):
            raise TypeError(f"{place} holds a {type(found).__name__}, no {cls.__name__}")
        return found

    def push_to_hub(self, name: str, *, results: str | Path | Mapping | None = None) -> str:
        """Upload as ``user/model`` with the account of huggingface_hub; return the address."""
        import huggingface_hub

        api = huggingface_hub.HfApi()
        api.create_repo(name, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            save_pretrained(self, folder, results=results, name=name)
            return str(api.upload_folder(repo_id=name, folder_path=folder))
