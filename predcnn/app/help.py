"""Help of a command, made from its YAML files: the comment behind a key explains the override."""

import functools
import itertools
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import as_file, files
from typing import NamedTuple

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

CONFIGS = files("predcnn.configs")
LONGEST = 60  # characters of a default that are printed
OPTIONS = """Further options:
  --cfg job     print the composed configuration
  -m            run a sweep: -m translator=gsta,van seed=1,2
  --hydra-help  options of Hydra"""
COMPLETION = """Tab completion of commands, groups and settings (bash, zsh):
  eval "$(predcnn -sc install=bash)"
fish:
  predcnn -sc install=fish | source"""


class Setting(NamedTuple):
    """An override of a command, its default as it is typed ("" for a part) and its meaning."""

    override: str
    default: str
    explanation: str


def header(command: str) -> tuple[str, list[str]]:
    """Return what a command does and its examples: the comment that begins its YAML file."""
    lines = (CONFIGS / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    summary, *examples = (line.removeprefix("# ") for line in comment)
    return summary, examples


def overview(commands: Iterable[str]) -> str:
    """Return the help of ``predcnn``: one line per command, and tab completion."""
    lines = [f"  {command:17}  {header(command)[0]}" for command in commands]
    more = "predcnn COMMAND --help explains the settings of a command."
    return "\n".join(["usage: predcnn COMMAND [OVERRIDES]", "", *lines, "", more, "", COMPLETION])


def groups(command: str, overrides: Sequence[str] = ()) -> dict[str, tuple[str, list[str]]]:
    """Return the configuration groups of a command: {group: (default, options)}."""
    _, choices, parts = _composed(command, tuple(overrides))
    paths = (part.config_path.partition("/") for part in reversed(parts) if not part.primary)
    lists = {group: option for group, _, option in paths}  # Hydra records single choices only
    return {name: (choice or "none", _options(name)) for name, choice in (lists | choices).items()}


def reference(command: str, overrides: Sequence[str] = ()) -> list[Setting]:
    """Return all settings of a command as ``overrides`` compose it, with its own keys first.

    A key is explained by the comment on its line, in the last file that has one. Files of a group
    share their explanations.
    """
    cfg, _, parts = _composed(command, tuple(overrides))
    shared: dict[str, str] = {}
    own: dict[str, str] = {}
    for part in parts:
        group = part.config_path.rpartition("/")[0]
        for other in _options(group) if group else ():
            shared |= explanations(f"{group}/{other}", part.package)
        own |= explanations(part.config_path, part.package)
    return sorted(settings_of(cfg, shared | own), key=lambda setting: "." in setting.override)


def text(command: str, overrides: Sequence[str] = ()) -> str:
    """Return the help of a command: examples, groups, settings."""
    found = groups(command, overrides).items()
    lines = ["Groups, GROUP=OPTION (the default in parentheses):"] if found else []
    lines += [f"  {name} ({choice}): {', '.join(names)}" for name, (choice, names) in found]
    lines += ["", "Settings, NAME=VALUE (the default in parentheses):"]
    section = ""
    for name, default, explanation in reference(command, overrides):
        if "." in name and name.partition(".")[0] != section:
            section = name.partition(".")[0]
            lines += [""]
        shown = f" ({default if len(default) <= LONGEST else '…'})" if default else ""
        lines += [f"  {name}{shown} — {explanation}"]
    width = min(110, shutil.get_terminal_size().columns)
    fill = functools.partial(textwrap.fill, subsequent_indent=" " * 6, break_on_hyphens=False)
    summary, examples = header(command)
    first = [summary, "", *(f"  {example}" for example in examples), *([""] if found else [])]
    return "\n".join([*first, *(fill(line, width) for line in lines), "", OPTIONS])


@functools.cache
def _composed(command: str, overrides: tuple[str, ...]) -> tuple[DictConfig, dict, list]:
    """Return the configuration, the option of every group, and the files (ResultDefault)."""
    GlobalHydra.instance().clear()
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose(command, list(overrides), return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        parts = loader.compute_defaults_list(command, list(overrides), RunMode.RUN).defaults
    chosen = reversed(cfg.hydra.runtime.choices.items())
    choices = {k: v for k, v in chosen if k.split("/")[0] not in ("hydra", "local")}
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg, choices, [part for part in parts if not part.config_path.startswith("hydra/")]


@functools.cache
def _options(group: str) -> list[str]:
    """Return the options of a group; those in its folders as "folder/name"."""
    with as_file(CONFIGS / group) as folder:
        paths = sorted(folder.rglob("*.yaml"))
        return [path.relative_to(folder).with_suffix("").as_posix() for path in paths]


@functools.cache
def explanations(path: str, package: str = "") -> dict[str, str]:
    """Return the comments on the lines of a YAML file's keys: {dotted override: comment}."""
    source = (CONFIGS / f"{path}.yaml").read_text(encoding="utf-8")
    lines, found = source.splitlines(), {}

    def walk(node: yaml.MappingNode, prefix: str) -> None:
        for key, value in node.value:
            name = f"{prefix}.{key.value}".removeprefix(".")
            block = getattr(value, "flow_style", None) is False
            end = (key if block else value).end_mark
            comment = lines[end.line][end.column :].partition("#")[2].strip()
            if comment:
                found[name] = comment
            if block and isinstance(value, yaml.MappingNode):
                walk(value, name)

    walk(yaml.compose(source), package)
    return found


def settings_of(node: DictConfig, known: dict[str, str], prefix: str = "") -> Iterator[Setting]:
    """Yield the settings in a configuration; a part without explanations inside is one setting."""
    for key in (key for key in node if not key.startswith("_")):
        name, child = f"{prefix}{key}", node._get_node(key)
        opened = isinstance(child, DictConfig) and any(k.startswith(f"{name}.") for k in known)
        if not opened or name in known:
            yield Setting(name, "" if opened else _default(node, key), known.get(name, ""))
        if opened:
            yield from settings_of(child, known, f"{name}.")


def _default(node: DictConfig, key: str) -> str:
    """Return a value as it is typed; the class of a part that is built; "required" if missing."""
    if OmegaConf.is_missing(node, key):
        return "required"
    child = node._get_node(key)
    if isinstance(child, DictConfig) and "_target_" in child:
        return child._target_.rpartition(".")[2]
    try:
        value = node[key]
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except InterpolationResolutionError:  # known when a run starts
        value = str(child)
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
