"""Published results of others, kept separate from ours."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("published.json")
KEYS = {
    "mse": "mse", "mae": "mae", "ssim": "ssim_openstl", "psnr": "psnr", "params_millions": "params",
    "flops_billions": "macs_published",
}  # fmt: skip
"""Attribute of a published row -> key of the column of a board that means the same."""
UNITS = {"params_millions": 1e6, "flops_billions": 1e9}


@dataclass(frozen=True)
class Published:
    """One row of a published table; None where the table has no number.

    ``data``, ``name`` and ``kind`` ("translator" or "model") are ours, ``label`` and ``table``
    those of the publication; ``source`` names the origin of a row outside OpenSTL's tables. MSE
    and MAE are sums over the pixels of a frame, SSIM has data range 2 (our ``ssim_openstl``),
    FLOPs are multiply–adds of one sequence, speed is in sequences per second.
    """

    data: str
    label: str
    name: str | None
    kind: str
    epochs: int
    params_millions: float | None
    flops_billions: float | None
    fps_v100: float | None
    mse: float | None
    mae: float | None
    ssim: float | None
    psnr: float | None
    table: str
    source: str | None = None
    variant_of: str | None = None  # our model that gives this row with ``overrides``
    overrides: tuple[str, ...] = ()


@functools.cache
def published_rows() -> tuple[Published, ...]:
    """Return every published row, in the order of the tables."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Published(**row | {"overrides": tuple(row.get("overrides", ()))}) for row in content["rows"]
    )


def source() -> str:
    """Return where the rows come from: the tables, then the sources of single rows."""
    own = [row.source for row in published_rows() if row.source]
    return "; ".join(dict.fromkeys([json.loads(FILE.read_text(encoding="utf-8"))["source"], *own]))


def published_of(kind: str, name: str, data: str) -> list[Published]:
    """Return the rows of one of our translators ("translator") or models ("model")."""
    return [row for row in published_rows() if (row.kind, row.name, row.data) == (kind, name, data)]


def published(kind: str, name: str, data: str, epochs: int | None = None) -> Published | None:
    """Return the published row after ``epochs``; None: of the shortest published training."""
    rows = [row for row in published_of(kind, name, data) if epochs in (None, row.epochs)]
    return min(rows, key=lambda row: row.epochs, default=None)


def variants_of(name: str, data: str) -> list[Published]:
    """Return the published rows of other variants of one of our models than its default."""
    return [row for row in published_rows() if (row.variant_of, row.data) == (name, data)]


def published_numbers(row: Published) -> dict[str, float]:
    """Return the numbers of a published row by the keys of our columns, in our units."""
    return {
        key: number * UNITS.get(attribute, 1)
        for attribute, key in KEYS.items()
        if (number := getattr(row, attribute)) is not None
    }
