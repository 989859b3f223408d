"""A check that a GIF is complete: decoders take a truncated one for a shorter video."""

from pathlib import Path

HEADER = 13  # signature and screen
FRAME = 10  # a frame's separator, place, size and flags
EXTENSION = 2  # separator and label


def is_complete_gif(path: Path) -> bool:
    """Return whether the blocks of a GIF lead to its trailer (GIF89a, sections 15 to 27)."""
    data = path.read_bytes()
    at = HEADER + _colours(data, HEADER - 3)
    while data[at : at + 1] in (b"!", b","):
        is_frame = data[at : at + 1] == b","
        at += FRAME + _colours(data, at + FRAME - 1) + 1 if is_frame else EXTENSION
        while at < len(data) and data[at]:  # pieces, each after its length; a zero ends them
            at += 1 + data[at]
        at += 1
    return data[at : at + 1] == b";"


def _colours(data: bytes, flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    flag = data[flags] if flags < len(data) else 0
    return 3 << (flag % 8 + 1) if flag & 128 else 0
