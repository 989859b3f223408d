"""From the words of a command line to the entries of a benchmark."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig

import predcnn
from predcnn.app.provenance import fingerprint, plain
from predcnn.app.results import data_record
from predcnn.data import SequenceDataModule
from predcnn.leaderboard.code_version import code_version

OF_ONE_RUN = ("ckpt_path", "name", "resume", "run_dir")


@dataclass(frozen=True)
class Entry:
    """One training of a benchmark.

    Attributes:
        name: as of the run, ``simvp_van``.
        seed: of the run.
        words: of the train command, but for those of a budget.
        cfg: what they compose to.
        recipe: identity of configuration, budget and data.
        fingerprint: the same with the code: what is finished once.
        pace_key: configuration without the seed, and code: what is probed once.
        data: what results.json says of the data.
        test_fingerprint: of the test sequences alone.
        code: the version of the code.
    """

    name: str
    seed: int
    words: tuple[str, ...]
    cfg: DictConfig
    recipe: str
    fingerprint: str
    pace_key: str
    data: dict
    test_fingerprint: str
    code: str


@contextlib.contextmanager
def _configs() -> Iterator[None]:
    """The configuration tree of the running command, or this package's."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with initialize_config_module("predcnn.configs", version_base="1.3"):
            yield


def compose_run(words: Sequence[str]) -> DictConfig:
    """The configuration of ``scripts/train.py`` with these words."""
    with _configs():
        return compose("train", overrides=[*words, "run_dir=run"])


def key_of(word: str) -> str:
    """``+trainer.max_steps=3`` -> ``trainer.max_steps``; ``~logger`` -> ``logger``."""
    return word.partition("=")[0].lstrip("+~")


def train_words(cfg: DictConfig) -> list[str]:
    """The words of a benchmark's command line that are the train command's.

    Raises:
        ValueError: a word that only a single run can have.
    """
    theirs = set(compose_run([]))
    words = [str(word) for word in cfg.words]
    for word in words:
        if key_of(word) in OF_ONE_RUN:
            raise ValueError(f"{word}: a benchmark sets {key_of(word)} for every entry by itself")
    ours = (set(cfg) - theirs) | {"seed"}
    return [word for word in words if key_of(word).split(".")[0] not in ours]


def _chosen(given: str | Sequence[str] | None, every: Sequence[str], word: str) -> list[str]:
    names = [given] if isinstance(given, str) else list(given or ())
    if "all" in names:
        if len(names) > 1:
            raise ValueError(f"{word}={names}: all already holds the others")
        return list(every)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{word}: {', '.join(twice)} named twice")
    return names


def choices(cfg: DictConfig, words: Sequence[str], everything: bool = False) -> list[list[str]]:
    """The words of each entry that tell it from the others.

    Args:
        cfg: of the benchmark.
        words: of the train command, for all entries.
        everything: without any choice all there are, else the one that ``words`` name.
    """
    one = [word for word in words if key_of(word) in ("model", "translator")]
    lists = {"translators": cfg.translators, "models": cfg.models}
    if everything and not one and not any(lists.values()):
        lists = {"translators": "all", "models": "all"}
    models = [name for name in predcnn.list_predictors() if name != "simvp"]
    every = {"translators": predcnn.list_translators(), "models": models}
    chosen = [
        [f"{word[:-1]}={name}"]
        for word, given in lists.items()
        for name in _chosen(given, every[word], word)
    ]
    if chosen and one:
        raise ValueError(f"{one[0]} and translators=[…] or models=[…]: say one of the two")
    return chosen or [[]]


def kind_of(cfg: DictConfig) -> tuple[str, str]:
    """("translator", its name) or ("model", its name) of a run."""
    if "translator" in cfg:
        return "translator", cfg.translator.label
    return "model", cfg.model.label


def entries_of(cfg: DictConfig) -> list[Entry]:
    """Every entry of a benchmark, seeds innermost; nothing is trained for that.

    Without ``translators`` and ``models`` the words name one entry themselves. Under a budget all
    entries have epochs of one length, so that they see the same sequences in the same order.

    Raises:
        ValueError and what composing raises: a word that one of the entries does not know.
    """
    words = train_words(cfg)
    chosen = choices(cfg, words)
    if cfg.budget_minutes is not None:
        words.append(f"data.train_sequences={cfg.data.train_sequences}")
    seeds = list(cfg.seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds}: one or more different numbers")
    data: dict[str, SequenceDataModule] = {}
    return [
        _entry([*words, *one], seed, cfg.budget_minutes, data) for one in chosen for seed in seeds
    ]


def _entry(
    words: list[str], seed: int, budget_minutes: float | None, data: dict[str, SequenceDataModule]
) -> Entry:
    words = [*words, f"seed={seed}"]
    cfg = compose_run(words)
    asked = json.dumps(plain(cfg)["data"], sort_keys=True)
    if asked not in data:
        datamodule = instantiate(cfg.data)
        datamodule.setup("fit")
        data[asked] = datamodule
    datamodule = data[asked]
    unseeded = cfg.copy()
    unseeded.seed = 0  # what follows from it follows
    recipe = joint(fingerprint(cfg), str(budget_minutes), datamodule.fingerprint)
    code = code_version()
    return Entry(
        name=cfg.name,
        seed=seed,
        words=tuple(words),
        cfg=cfg,
        recipe=recipe,
        fingerprint=joint(recipe, code),
        pace_key=joint(fingerprint(unseeded), code),
        data=data_record(datamodule, "test"),
        test_fingerprint=datamodule.split("test").fingerprint,
        code=code,
    )


def joint(*parts: str) -> str:
    """One hash of several identities."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
