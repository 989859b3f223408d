"""Hooks of mkdocs: pages generated from configurations, records, docstrings and notebooks."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import predcnn
from predcnn.app.cli import COMMANDS
from predcnn.registry import BLOCKS, PREDICTORS, TRANSLATORS

sys.path.insert(0, str(Path(__file__).parent))
from results import result_table
from settings import command_reference

ROOT = Path(__file__).resolve().parents[2]
COPIED = {
    "CONTRIBUTING.md": "contributing/index.md",
    "CHANGELOG.md": "contributing/changelog.md",
    "SECURITY.md": "contributing/security.md",
    "datasets/README.md": "reference/datasets.md",
}
"""Files of the repository that are pages of the site, too."""
NETWORK = re.compile(r"<!-- network (translator|model) (\w+) -->")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/commands.md": command_reference(COMMANDS),
        "reference/api.md": api_reference(),
        **{page: _copied(source) for source, page in COPIED.items()},
        **{
            f"tutorials/{path.stem}.md": notebook_page(path)
            for path in sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
        },
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace ``<!-- network KIND NAME -->`` by results, configuration and docstring."""
    return NETWORK.sub(lambda found: network(*found.groups()), markdown)


def network(kind: str, name: str) -> str:
    """Return what is known of a network: results, its configuration file, its class."""
    registry = PREDICTORS if kind == "model" else BLOCKS if name in BLOCKS else TRANSLATORS
    cls = registry[name]
    path = ROOT / f"configs/{kind}/{name}.yaml"
    yaml = path.read_text(encoding="utf-8").replace("\n", "\n    ").rstrip()
    return (
        f"{result_table(kind, name)}\n"
        f'??? note "configs/{kind}/{name}.yaml"\n\n    ```yaml\n    {yaml}\n    ```\n\n'
        f"::: {cls.__module__}.{cls.__qualname__}\n    options:\n      heading_level: 3\n"
    )


def api_reference() -> str:
    """Return the page of the public functions, in the order of ``predcnn.__all__``."""
    parts = [
        "# API reference\n\nEverything here is `predcnn.NAME`. `import predcnn` imports nothing "
        "else; each name is imported at its first use. [From Python](../how-to/python.md) shows "
        "them at work.\n"
    ]
    for name in sorted(set(predcnn.__all__) - {"__version__"}):
        parts.append(_documented(f"predcnn.{name}", getattr(predcnn, name)))
    more = [predcnn.metrics.video_metrics, predcnn.forecasting.Forecast]
    more += [predcnn.data.create_datamodule, predcnn.data.to_float]
    more += [sys.modules["predcnn.predictors.protocol"].Predictor]
    parts += [_documented(f"{one.__module__}.{one.__qualname__}", one) for one in more]
    return "\n".join(parts)


def _documented(title: str, member: type) -> str:
    return (
        f"::: {member.__module__}.{member.__qualname__}\n    options:\n"
        f'      heading: "{title}"\n      heading_level: 2\n'
    )


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown, with its outputs and a link to the notebook itself."""
    cells = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            cells += [f"```python\n{cell.source}\n```", *map(_output, cell.outputs)]
        else:
            cells.append(re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", cell.source))
    cells.insert(1, f"*Download: [{path.name}]({path.name})*")
    return "\n\n".join(cells) + "\n"


def _output(output: Mapping) -> str:
    """Return an output of a notebook's cell: an image, or text."""
    data = output.get("data", {})
    for kind in ("image/gif", "image/png"):
        if kind in data:
            return f"![output](data:{kind};base64,{data[kind].strip()})"
    return f"```text\n{(output.get('text') or data['text/plain']).rstrip()}\n```"


def _copied(source: str) -> str:
    """Return a file of the repository with its links to other such files turned into pages."""
    text = (ROOT / source).read_text(encoding="utf-8")
    for other, page in COPIED.items():
        text = text.replace(f"]({other})", f"](../{page})")
    return text
