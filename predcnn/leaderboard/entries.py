"""Entries of a benchmark: the runs that a command line asks for, and what identifies each."""

import ast
import contextlib
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import predcnn
from predcnn.data import SequenceDataModule

SET_BY_BENCHMARK = ("ckpt_path", "name", "resume", "run_dir")
NOT_THE_EXPERIMENT = ("ckpt_path", "resume", "run_dir", "logger")
PACKAGE = Path(__file__).resolve().parent.parent
HASHED = (
    "registry.py", "native", "ops", "blocks", "translators", "predictors", "data", "metrics",
    "training", "app/train.py", "app/build.py", "app/allocator.py",
)  # fmt: skip
"""The packages that data, networks and training come from, and the train command."""


@dataclass(frozen=True)
class Entry:
    """One training of a benchmark; with ``code``, ``fingerprint`` identifies its finished runs."""

    name: str
    seed: int
    overrides: tuple[str, ...]  # of the train command, without those of a budget
    cfg: DictConfig
    fingerprint: str  # of settings, budget and data
    pace_key: str  # hash of the settings without the seed, identifies probes
    data: dict
    data_fingerprint: str  # of all sequences
    test_fingerprint: str  # of the test sequences alone
    code: str


def compose_run(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration of the train command, from the tree of the running command."""
    running = GlobalHydra.instance().is_initialized()
    with (
        contextlib.nullcontext()
        if running
        else initialize_config_module("predcnn.configs", version_base="1.3")
    ):
        return compose("train", overrides=[*overrides, "run_dir=run"])


def plain(cfg: DictConfig) -> dict:
    """Return the configuration as plain values, interpolations resolved."""
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


def fingerprint(*parts: object) -> str:
    """Hash plain values and configurations; of these, not where and how a run is written."""
    content = [
        {k: v for k, v in plain(part).items() if k not in NOT_THE_EXPERIMENT}
        if isinstance(part, DictConfig)
        else part
        for part in parts
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def key_of(override: str) -> str:
    """Return the key of an override: ``trainer.max_steps`` of ``+trainer.max_steps=3``."""
    return override.partition("=")[0].lstrip("+~")


def train_overrides(cfg: DictConfig) -> list[str]:
    """Select the overrides of a benchmark's command line that belong to the train command."""
    overrides = [str(override) for override in cfg.overrides]
    for override in overrides:
        if key_of(override) in SET_BY_BENCHMARK:
            raise ValueError(f"{override}: a benchmark sets {key_of(override)} for every entry")
    ours = (set(cfg) - set(compose_run([]))) | {"seed"}
    return [override for override in overrides if key_of(override).split(".")[0] not in ours]


def _chosen(given: str | Sequence[str] | None, every: Sequence[str], key: str) -> list[str]:
    names = [given] if isinstance(given, str) else list(given or ())
    if names == ["all"]:
        return list(every)
    if "all" in names:
        raise ValueError(f"{key}={names}: all includes the others")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{key}: {', '.join(twice)} given twice")
    return names


def choices(cfg: DictConfig, overrides: Sequence[str], everything: bool = False) -> list[list[str]]:
    """Return the overrides that select the model of each entry."""
    one = [override for override in overrides if key_of(override) in ("model", "translator")]
    lists = {"translators": cfg.translators, "models": cfg.models}
    if everything and not one and not any(lists.values()):
        lists = {"translators": "all", "models": "all"}
    models = [name for name in predcnn.list_predictors() if name != "simvp"]
    every = {"translators": predcnn.list_translators(), "models": models}
    chosen = [
        [f"{key[:-1]}={name}"]
        for key, given in lists.items()
        for name in _chosen(given, every[key], key)
    ]
    if chosen and one:
        raise ValueError(f"{one[0]} and translators=[…] or models=[…]: give one of the two")
    return chosen or [[]]


def kind_of(cfg: DictConfig) -> tuple[str, str]:
    """Return ("translator", its name) or ("model", its name)."""
    kind = "translator" if "translator" in cfg else "model"
    return kind, cfg[kind].label


def entries_of(cfg: DictConfig) -> list[Entry]:
    """Compose a benchmark's entries, seeds innermost; a budget gives epochs of one length."""
    overrides = train_overrides(cfg)
    chosen = choices(cfg, overrides)
    if cfg.budget_minutes is not None:
        overrides.append(f"data.train_sequences={cfg.data.train_sequences}")
    seeds = list(cfg.seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds}: one or more different numbers")
    opened: dict[str, SequenceDataModule] = {}
    return [
        entry_of(compose_run(every), every, cfg.budget_minutes, opened)
        for one in chosen
        for seed in seeds
        for every in [[*overrides, *one, f"seed={seed}"]]
    ]


def entry_of(
    cfg: DictConfig,
    overrides: Sequence[str],
    budget_minutes: float | None,
    opened: dict[str, SequenceDataModule],
) -> Entry:
    """Identify one run; ``opened`` holds the data modules of earlier calls by their settings."""
    settings = fingerprint(plain(cfg)["data"])
    if settings not in opened:
        opened[settings] = instantiate(cfg.data)
        opened[settings].setup("fit")
    data = opened[settings]
    unseeded = cfg.copy()
    unseeded.seed = 0  # settings derived from it follow
    return Entry(
        name=cfg.name,
        seed=cfg.seed,
        overrides=tuple(overrides),
        cfg=cfg,
        fingerprint=fingerprint(cfg, budget_minutes, data.fingerprint),
        pace_key=fingerprint(unseeded),
        data={
            "name": data.family.name,
            "source": data.source,
            "protocol": data.protocol,
            "sequences": {name: len(data.split(name)) for name in ("train", "val", "test")},
        },
        data_fingerprint=data.fingerprint,
        test_fingerprint=data.split("test").fingerprint,
        code=code_version(),
    )


@functools.cache
def code_version(package: Path = PACKAGE) -> str:
    """Return the SHA-256 of the code that decides results, of this or another copy.

    It covers the syntax trees of `HASHED` without docstrings and comments: documentation, tests and
    tables may change without invalidating a result.
    """
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
