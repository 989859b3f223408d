"""Axes of stored arrays as letters: N sequences, T time, C channels, H rows, W columns."""

from collections.abc import Sequence

import numpy as np

from predcnn.data.arrays.readers import Stored

LETTERS = "NTCHW"
SMALL = 4  # an axis this short may hold channels, not rows or columns
NAMES = {
    "N": "n sample samples sequence sequences event member ensemble number realization",
    "T": "t time valid_time step lead_time prediction_timedelta frame frames",
    "C": "c channel channels band bands variable level plev isobaricinhpa",
    "H": "h y lat latitude row rows height south_north projection_y_coordinate",
    "W": "w x lon longitude col cols width west_east projection_x_coordinate",
}
_LETTER = {name: letter for letter, names in NAMES.items() for name in names.split()}


def layout_of(stored: Stored, given: str | None, span: int) -> str:
    """Return the layout of an array: as given, by the names of its axes, or by its shape.

    An axis shorter than ``span``, the frames of a window, cannot be time.
    """
    what = f"{stored.name or 'the array'} of shape {stored.shape}"
    if given is not None:
        if len(given) != len(stored.shape):
            raise ValueError(f"data.layout={given} has {len(given)} axes, {what} does not")
        return given
    named = "".join(_LETTER.get(dim.lower(), "?") for dim in stored.dims)
    for letters in (stored.axes, named):
        if letters and "?" not in letters and len(set(letters)) == len(letters):
            return letters
    candidates = _candidates(stored.shape, span)
    if len(candidates) != 1:
        fits = f"may be {' or '.join(candidates)}" if candidates else "fits no layout"
        raise ValueError(
            f"{what} {fits} for windows of {span} frames: set data.layout (N sequences, T time, "
            "C channels, H rows, W columns)"
        )
    return candidates[0]


def _candidates(shape: Sequence[int], span: int) -> list[str]:
    """Return the layouts that a shape allows: time is long enough, rows and columns not tiny."""
    if len(shape) in (2, 3):
        return ["THW"[-len(shape) :]]
    options = {4: ["TCHW", "THWC", "NTHW", "TNHW"], 5: ["NTCHW", "NTHWC", "TNCHW"]}
    fits = {}
    for layout in options.get(len(shape), []):
        size = dict(zip(layout, shape, strict=True))
        side = min(size["H"], size["W"])
        if side > SMALL and size.get("T", span) >= span:
            fits[layout] = size.get("C", 0) < side  # channels are fewer than rows and columns
    odd = len(shape) == 5 and not any(fits.values())
    found = [layout for layout, usual in fits.items() if usual or odd]
    if "NTCHW" in found and "TNCHW" in found:  # both need long axes; the first is the usual one
        found.remove("TNCHW")
    if "TCHW" in found and shape[1] <= SMALL:  # an axis of up to four is channels, not sequences
        found = [layout for layout in found if layout not in ("TNHW", "NTHW")]
    return found


def read_frames(stored: Stored, layout: str, row: int | None, times: slice) -> np.ndarray:
    """Read the frames ``times`` of sequence ``row`` (None without an axis N) as (T, C, H, W)."""
    where = {"N": row, "T": times}
    frames = stored.read(tuple(where.get(axis, slice(None)) for axis in layout))
    axes = [axis for axis in layout if axis != "N"]
    missing = [axis for axis in "TC" if axis not in axes]
    frames = frames[(None,) * len(missing)]
    order = [(missing + axes).index(axis) for axis in "TCHW"]
    return frames.transpose(order)


def sizes(stored: Stored, layout: str) -> dict[str, int]:
    """Return the size of every axis of N, T, C, H, W; 1 for missing ones."""
    return dict.fromkeys(LETTERS, 1) | dict(zip(layout, stored.shape, strict=True))
