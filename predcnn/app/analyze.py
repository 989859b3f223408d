"""Figures and numbers of what one or several networks look at."""

import time
from pathlib import Path

from omegaconf import DictConfig

from predcnn.app.analyses import ANALYSES
from predcnn.app.analyses.inputs import open_inputs
from predcnn.app.console import quiet_libraries, say
from predcnn.app.files import check_writable, write_json
from predcnn.app.provenance import command, git_state, versions


def analyze(cfg: DictConfig) -> None:
    """Measure ``kind`` of every network, draw them side by side, write <kind>.json."""
    quiet_libraries()
    if cfg.kind not in ANALYSES:
        raise ValueError(f"kind={cfg.kind!r}; accepted: {', '.join(ANALYSES)}")
    analysis = ANALYSES[cfg.kind]
    inputs = open_inputs(cfg, analysis.films(cfg))
    folder = Path(cfg.output)
    check_writable(folder)
    results, models = {}, {}
    for subject in inputs.subjects:
        started = time.perf_counter()
        found = results[subject.name] = analysis.measure(cfg, subject, inputs)
        about = {"weights": inputs.weights[subject.name], "outputs": list(subject.outputs)}
        models[subject.name] = {**about, **analysis.numbers(subject, found)}
        say(f"{cfg.kind} of {subject.name}: {time.perf_counter() - started:.1f} s")
    pictures = analysis.draw(folder, inputs, results)
    record = {
        "schema": 1,
        "kind": cfg.kind,
        "definition": analysis.definition,
        "settings": analysis.settings(cfg),
        "inputs": {"source": inputs.source, "names": list(inputs.names)},
        "models": models,
        "pictures": pictures,
        "command": command(),
        "versions": versions(),
        "git": git_state(),
    }
    write_json(folder / f"{cfg.kind}.json", record)
    say(f"{cfg.kind}.json and {', '.join(pictures)} in {folder}")
