"""Small line charts of one entry as SVG text."""

from collections.abc import Mapping, Sequence
from html import escape

from predcnn.leaderboard.columns import TITLES
from predcnn.leaderboard.standings import Row

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 34

Points = Sequence[tuple[float, float]]


def curve_figure(metric: str, row: Row, reference: Row | None) -> str:
    """A metric by lead time, beside that of a line without a model."""
    lines = {row.name: _numbered(row.curves[metric])}
    if reference is not None and metric in reference.curves:
        lines[reference.name] = _numbered(reference.curves[metric])
    return line_chart(f"{TITLES.get(metric, metric)} by lead time", lines, "lead time in frames")


def history_figure(runs: Sequence[dict]) -> str:
    """The validation MSE of every seed by step; nothing where nothing was trained."""
    lines = {}
    for run in runs:
        steps, values = run["history"].get("val/mse", ([], []))
        points = [(s + 1, v) for s, v in zip(steps, values, strict=True) if v is not None]
        if points:
            lines[f"seed {run['seed']}"] = points
    return line_chart("validation MSE by step", lines, "step") if lines else ""


def _numbered(values: Sequence[float | None]) -> Points:
    return [(i, v) for i, v in enumerate(values, start=1) if v is not None]


def line_chart(title: str, lines: Mapping[str, Points], x_title: str) -> str:
    """A figure with one line per name; colours follow the order."""
    every = [point for points in lines.values() for point in points]
    x_low, x_high = _range([x for x, _ in every], 0)
    y_low, y_high = _range([y for _, y in every], 0.06)

    def place(x: float, y: float) -> str:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{down:.1f}"

    marks = []
    for share in (0, 0.5, 1):
        y = y_low + share * (y_high - y_low)
        down = place(x_low, y).split(",")[1]
        marks.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down}" y2="{down}"/>'
            f'<text x="{LEFT - 6}" y="{down}" text-anchor="end">{y:.3g}</text>'
        )
    for x in (x_low, x_high):
        across = place(x, y_low).split(",")[0]
        marks.append(
            f'<text x="{across}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
        )
    for i, (name, points) in enumerate(lines.items()):
        path = " ".join(place(*point) for point in points)
        marks.append(
            f'<polyline class="curve on" style="stroke:var(--c{i % 6})" points="{path}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    names = "; ".join(
        f'<span style="color:var(--c{i % 6})">{escape(name)}</span>' for i, name in enumerate(lines)
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(marks)}"
        f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_title)}</text></svg>'
        f"<figcaption>{escape(title)}: {names}</figcaption></figure>"
    )


def _range(values: Sequence[float], pad: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    return low - pad * (high - low), high + pad * (high - low)
