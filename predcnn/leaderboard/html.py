"""The leaderboard as one HTML page that needs nothing else: no network, no other file."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import yaml

from predcnn.leaderboard.columns import Column, columns_of
from predcnn.leaderboard.drawing import curve_figure, history_figure
from predcnn.leaderboard.published import source
from predcnn.leaderboard.standings import Board, Row, ranks
from predcnn.leaderboard.tables import published_numbers
from predcnn.leaderboard.words import PUBLISHED, protocol, title

PARTS = Path(__file__).with_name("page")
KINDS = {
    "translator": "SimVP translators",
    "model": "other models",
    "reference": "lines without a model",
    "published": "published rows",
}


def page(boards: Sequence[Board], films: Mapping[str, Mapping[str, bytes]], made: str) -> str:
    """The whole page.

    Args:
        boards: in the order of the page.
        films: key of a board -> label -> GIF of the shown test sequence.
        made: one sentence on when and from what the page was made.
    """
    parts = {path.name: path.read_text(encoding="utf-8") for path in PARTS.iterdir()}
    links = "".join(f'<a href="#{b.key}">{escape(title(b))}</a>' for b in boards)
    data = json.dumps([_plotted(board) for board in boards], ensure_ascii=False)
    return Template(parts["page.html"]).substitute(
        style=parts["style.css"],
        script=parts["page.js"],
        summary="Video prediction models trained and tested under one protocol per board. "
        "Columns sort, words filter; every number has its run behind the name.",
        links=links,
        boards="\n".join(_section(board, films.get(board.key, {})) for board in boards),
        data=data.replace("</", "<\\/"),
        footer=f"{escape(made)} {escape(PUBLISHED)} Source: {escape(source())}.",
    )


def _plotted(board: Board) -> dict:
    """What the script draws of a board."""
    rows = [
        {
            "name": row.name,
            "kind": row.kind,
            "values": {key: value.mean for key, value in row.values.items()},
            "curves": row.curves,
            "entry": _anchor(board, row) if row.runs else None,
        }
        for row in board.rows
    ]
    rows += [
        {
            "name": f"{row.label}, {row.epochs} epochs",
            "kind": "published",
            "values": _as_plotted(published_numbers(row)),
            "curves": {},
            "entry": None,
        }
        for row in board.published
    ]
    metrics = [
        {"key": c.key, "title": c.title, "higher": bool(c.higher)}
        for c in columns_of(board)
        if c.key in board.metrics
    ]
    return {"metrics": metrics, "rows": rows}


def _as_plotted(numbers: dict[str, float]) -> dict[str, float]:
    """Published numbers on the axes of ours: both count multiply–adds, theirs also norms."""
    plotted = dict(numbers)
    plotted["macs"] = plotted.pop("macs_published", 0.0)
    return plotted


def _anchor(board: Board, row: Row) -> str:
    return f"{board.key}-{row.name}"


def _section(board: Board, films: Mapping[str, bytes]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in protocol(board))
    metrics = "".join(
        f"<li><b>{escape(name)}</b>: {escape(text)}</li>"
        for name, text in board.definitions.items()
    )
    gallery = "".join(_film(board, label, gif) for label, gif in films.items())
    entries = "".join(_entry(board, row, films) for row in board.rows if row.runs)
    return f"""<section class="board" id="{board.key}">
<h2>{escape(title(board))}</h2>
<ul class="protocol">{items}{metrics}</ul>
{_controls(board)}
<div class="scroll" tabindex="0" role="region" aria-label="Results, scrolls sideways">
{_table(board)}
</div>
<p class="note">Marked: best, and underlined second best of a column among entries with weights.
Mean ± sample standard deviation where there are several seeds.</p>
<h3>Quality against cost</h3>
<p class="note"><span class="key translator"></span>SimVP translator
<span class="key model"></span>other model <span class="key published"></span>published</p>
<div class="plots scatter"></div>
<h3>By lead time</h3>
<div class="legend lead-legend" role="group" aria-label="Highlighted models"></div>
<div class="plots lead"></div>
<noscript><p class="note">The plots need JavaScript.</p></noscript>
<h3>One test sequence through every model</h3>
<p class="note">The bar under a film is blue while the input plays and orange while the future is
predicted.</p>
<div class="gallery">{gallery}</div>
<h3>Entries</h3>
{entries}
</section>"""


def _controls(board: Board) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" value="{kind}"{"" if kind == "published" else " checked"}>'
        f" {words}</label>"
        for kind, words in KINDS.items()
        if kind != "published" or board.published
    )
    return (
        f'<div class="controls"><label>Filter <input type="search" placeholder="vit, mamba …">'
        f'</label>{boxes}<output aria-live="polite"></output></div>'
    )


def _table(board: Board) -> str:
    columns = columns_of(board)
    heads = [_head("model", "", None)]
    heads += [_head(c.title + c.arrow, c.about, c.higher) for c in columns]
    heads += [_head("seeds", "Finished runs.", None), '<th scope="col">links</th>']
    places = {c.key: ranks(board.rows, c.key, c.higher) for c in columns if c.higher is not None}
    rows = "\n".join(_tr(board, row, columns, places) for row in board.rows)
    published = "\n".join(_published_tr(row, columns) for row in board.published)
    if published:
        width = len(heads)
        published = (
            f'<tbody class="published"><tr><th colspan="{width}"><span>{escape(PUBLISHED)}</span>'
            f"</th></tr>\n{published}</tbody>"
        )
    return (
        f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>\n{rows}\n</tbody>{published}"
        "</table>"
    )


def _head(text: str, about: str, higher: bool | None) -> str:
    first = "descending" if higher else "ascending"
    return (
        f'<th scope="col" data-first="{first}" title="{escape(about)}">'
        f'<button type="button">{escape(text)}</button></th>'
    )


def _tr(
    board: Board, row: Row, columns: Sequence[Column], places: Mapping[str, Mapping[str, int]]
) -> str:
    anchor = _anchor(board, row)
    name = escape(row.name)
    shown = f'<a href="#{anchor}">{name}</a>' if row.runs else name
    failed = bool(row.failures) and not row.seeds
    tag = ' <span class="tag">failed</span>' if row.failures else ""
    cells = [f'<td data-v="{name}">{shown}{tag}</td>']
    if failed:
        reasons = escape("; ".join(row.failures))
        cells.append(f'<td class="why" colspan="{len(columns) + 1}">{reasons}</td>')
    else:
        cells += [_td(c, row, places.get(c.key, {}).get(row.name)) for c in columns]
        cells.append(f'<td data-v="{len(row.seeds)}">{len(row.seeds) or "–"}</td>')
    links = (
        f'<a href="#{anchor}-config">config</a> <a href="#{anchor}-curves">curves</a> '
        f'<a href="#{anchor}-film">GIF</a>'
        if row.seeds
        else ""
    )
    kind = f"{row.kind} failed" if failed else row.kind
    return (
        f'<tr class="{kind}" data-kind="{row.kind}" data-name="{name}" '
        f'data-text="{name.lower()} {row.kind}">{"".join(cells)}<td>{links}</td></tr>'
    )


def _td(column: Column, row: Row, place: int | None) -> str:
    value = row.values.get(column.key)
    if value is None:
        return "<td>–</td>"
    dress = {1: ' class="best"', 2: ' class="second"'}.get(place, "")
    return f'<td data-v="{value.mean!r}"{dress}>{column.text(value)}</td>'


def _published_tr(row: object, columns: Sequence[Column]) -> str:
    numbers = _as_plotted(published_numbers(row))
    name = escape(f"{row.label}, {row.epochs} epochs")
    cells = [f'<td data-v="{name}">{name}<span class="tag">published</span></td>']
    for column in columns:
        number = numbers.get(column.key)
        cells.append(
            "<td>–</td>" if not number else f'<td data-v="{number!r}">{column.show(number)}</td>'
        )
    return (
        f'<tr data-kind="published" data-name="{name}" data-text="{name.lower()} published">'
        f"{''.join(cells)}<td>–</td><td></td></tr>"
    )


def _film(board: Board, label: str, gif: bytes) -> str:
    known = {row.name: row for row in board.rows}
    name = escape(label)
    caption = f'<a href="#{_anchor(board, known[label])}">{name}</a>' if label in known else name
    words = f"<figcaption>{caption}</figcaption>"
    return f'<figure data-name="{name}">{_image(gif, label)}{words}</figure>'


def _image(gif: bytes, label: str) -> str:
    content = base64.b64encode(gif).decode()
    return (
        f'<img alt="test sequence, {escape(label)}" width="64" height="67" loading="lazy" '
        f'src="data:image/gif;base64,{content}">'
    )


def _entry(board: Board, row: Row, films: Mapping[str, bytes]) -> str:
    anchor = _anchor(board, row)
    done = [run for run in row.runs if run["status"] == "finished"]
    parts = [f"<p>Failed: {escape(reason)}</p>" for reason in row.failures]
    for run in done:
        commit = (run["results"]["git"] or {}).get("commit", "none")
        parts.append(
            f"<p>Seed {run['seed']}, {escape(run['recorded'])}, commit {escape(commit[:12])}, code "
            f"{run['code'][:12]}, fingerprint {run['fingerprint'][:12]}</p>"
            f'{_note(run)}<pre class="command">{escape(run["command"])}</pre>'
        )
    if done:
        config = yaml.safe_dump(done[0]["config"], sort_keys=False, allow_unicode=True)
        reference = next((r for r in board.rows if r.kind == "reference"), None)
        figures = [
            curve_figure(metric, row, reference) for metric in board.metrics if metric in row.curves
        ]
        figures.append(history_figure(done))
        film = _image(films[row.name], row.name) if row.name in films else ""
        parts.append(
            f'<div id="{anchor}-film">{film}</div>'
            f'<div id="{anchor}-curves" class="plots">{"".join(figures)}</div>'
            f'<details id="{anchor}-config"><summary>resolved config of seed {done[0]["seed"]}'
            f"</summary><pre>{escape(config)}</pre></details>"
        )
    return (
        f'<details class="entry" id="{anchor}"><summary><b>{escape(row.name)}</b></summary>'
        f"{''.join(parts)}</details>\n"
    )


def _note(run: dict) -> str:
    return f'<p class="note">{escape(run["note"])}</p>' if "note" in run else ""
