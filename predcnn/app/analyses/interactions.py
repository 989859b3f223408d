"""Multi-order interactions: J(m) against the order, one diagram per output."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from predcnn.analysis import Subject, interaction_strength, measure_interactions
from predcnn.analysis.interactions import PRESETS, Settings
from predcnn.app.analyses.analysis import Analysis, file_name, with_target
from predcnn.app.analyses.inputs import Inputs
from predcnn.visual import plot_lines


def _settings(cfg: DictConfig) -> Settings:
    words = OmegaConf.to_container(cfg.interactions)
    preset = words.pop("preset")
    if preset not in PRESETS:
        raise ValueError(f"interactions.preset={preset!r}; accepted: {', '.join(PRESETS)}")
    return replace(PRESETS[preset], **{k: v for k, v in words.items() if v is not None})


def _measure(cfg: DictConfig, subject: Subject, inputs: Inputs) -> tuple[Settings, Tensor, Tensor]:
    settings = _settings(cfg)
    x, target = with_target(subject, inputs)
    rewards = measure_interactions(
        subject, x, target, settings, seed=cfg.seed, batch_size=cfg.batch_size
    )
    return settings, *interaction_strength(rewards)


def _numbers(subject: Subject, found: tuple[Settings, Tensor, Tensor]) -> dict:
    settings, strength, share = found
    columns = zip(subject.outputs, strength.T.tolist(), share.T.tolist(), strict=True)
    rows = {name: {"I": i, "J": j} for name, i, j in columns}
    return {"ratios": list(settings.ratios), "orders": settings.orders(), "interactions": rows}


def _draw(
    folder: Path, inputs: Inputs, results: Mapping[str, tuple[Settings, Tensor, Tensor]]
) -> list[str]:
    outputs = inputs.subjects[0].outputs
    diagrams = {
        f"lead time {output}" if inputs.films.shape[1] > 1 else "interactions": {
            name: (settings.ratios, share[:, i].tolist())
            for name, (settings, _, share) in results.items()
        }
        for i, output in enumerate(outputs)
    }
    plot_lines(folder / file_name("interactions"), diagrams, "order m / n", y_label="strength J(m)")
    return [file_name("interactions")]


INTERACTIONS = Analysis(
    "I(m): mean over images and pairs of |mean over contexts of v(ij) - v(i) - v(j) + v()|, "
    "J(m) = I(m) / mean of I; v: log p / (1 - p) of the network's own class, of predictors -log of "
    "the mean squared error at a lead time",
    _measure,
    _numbers,
    _draw,
    films=lambda cfg: _settings(cfg).images,
    settings=lambda cfg: asdict(_settings(cfg)),
)
