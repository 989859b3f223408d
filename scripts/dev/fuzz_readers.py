"""Throw damaged files at every reader: each is read or refused by an error that a user is told of.

``python scripts/dev/fuzz_readers.py --minutes 5`` mutates small valid files (bytes, and values of
JSON) and keeps what reaches lines that nothing reached before. It exits with 1 and leaves the file
when a reader raises anything else than it promises, takes seconds or a GiB, or executes what the
file says, and goes on with the next reader; a crash of the process leaves the file too.
"""

import argparse
import copy
import faulthandler
import json
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch
from fuzz_targets import Reader, prepare, targets

import predcnn

HOME = str(Path(predcnn.__file__).parent)
SLOW = 5.0  # seconds of computing
MEMORY = 1 << 20  # KiB that one input may take
TRACED = 0.1  # of the inputs, as tracing makes Python slow
ODD = (
    None, True, -1, 0, 1e999, float("nan"), 2**64, "", "x" * 10**5, "<script>", "../../x", [], {},
    [[]], {"a": {}},
)  # fmt: skip
TRIED: list[int] = []


def other_value(content: bytes) -> bytes:
    """JSON with an odd value at one place; lines of JSON, one of them."""
    lines = content.split(b"\n")
    number = random.randrange(len(lines))
    try:
        place = root = [json.loads(lines[number])]
    except ValueError:
        return content
    key: int | str = 0
    while isinstance(place[key], dict | list) and place[key] and random.random() < 0.8:
        place = place[key]
        key = (
            random.choice(list(place)) if isinstance(place, dict) else random.randrange(len(place))
        )
    kind = random.randrange(4)
    if kind == 0 and isinstance(place, dict):
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[str(random.choice(ODD))[:50]] = place.pop(key)
    else:
        place[key] = copy.deepcopy(random.choice(ODD))
    lines[number] = json.dumps(root[0] if root else None).encode()
    return b"\n".join(lines)


def mutate(content: bytes, others: list[bytes]) -> bytes:
    """A few small damages: flipped, cut, doubled, overwritten, exchanged."""
    if content.lstrip()[:1] == b"{" and random.random() < 0.7:
        return other_value(content)
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        place = random.randrange(len(data) + 1)
        # descriptions lie at both ends of most formats
        place = random.choice((place, place % 200, len(data) - place % 300)) if data else 0
        place = max(0, min(place, len(data) - 1))
        kind = random.randrange(6)
        if kind == 0 and data:
            data[place] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[place] = random.choice((0, 1, 0x2E, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            del data[place : place + random.choice((1, 2, 8, 64, 100_000))]
        elif kind == 3:
            data[place:place] = random.randbytes(random.choice((1, 4, 16)))
        elif kind == 4:
            size = random.choice((2, 4, 8))
            number = random.choice((0, 1, 2**31 - 1, 2**31, 2**63, 2**64 - 1)) % 256**size
            data[place : place + size] = number.to_bytes(size, random.choice(("big", "little")))
        else:
            other = random.choice(others)
            start = random.randrange(len(other) + 1)
            data[place : place + 32] = other[start : start + 32]
    return bytes(data)


def peak() -> int:
    """Largest resident memory in KiB since it was reset here."""
    text = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(text.partition("VmHWM:")[2].split()[0])


def traced(reader: Reader, path: Path, trace_lines: bool) -> tuple[set, BaseException | None]:
    """The lines of this package that a reader runs, and what it raises."""
    lines: set[tuple[str, int]] = set()

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace if trace_lines else None)
    try:
        reader(path)
    except Exception as error:
        return lines, error
    finally:
        sys.settrace(None)
    return lines, None


def wrong(error: BaseException | None, seconds: float, grown: int, left: set) -> str | None:
    """Return the broken promise of a reader, or None."""
    if error is not None and not isinstance(error, (ValueError, KeyError, TypeError, OSError)):
        return "".join(traceback.format_exception(error))
    if seconds > SLOW or grown > MEMORY or left:
        return f"took {seconds:.1f} s and {grown >> 10} MiB, left {sorted(left)}; raised {error!r}"
    return None


def fuzz(name: str, reader: Reader, path: Path, corpus: list[bytes], limits: tuple) -> str | None:
    """Try inputs for some time or so many; returns what was found to be wrong."""
    seen: set = set()
    counts = {"read": 0, "refused": 0}
    seconds, most = limits
    end = time.monotonic() + seconds
    while time.monotonic() < end and sum(counts.values()) < most:
        first = not any(counts.values())
        content = corpus[0] if first else mutate(random.choice(corpus), corpus)
        path.unlink(missing_ok=True)  # a file that is still open must not change
        path.write_bytes(content)
        usual, inside, before = peak(), set(os.listdir(path.parent)), time.process_time()
        lines, error = traced(reader, path, first or random.random() < TRACED)
        left = set() if first else set(os.listdir(path.parent)) - inside
        found = wrong(error, time.process_time() - before, peak() - usual, left)
        if found is not None or (first and error is not None):
            return found or f"the valid file is refused: {error!r}"
        counts["refused" if error else "read"] += 1
        if lines - seen:
            seen |= lines
            corpus.append(content)
    total = sum(counts.values())
    TRIED.append(total)
    print(
        f"{name:18} {total:>8,} inputs: {counts['read']:,} read, {counts['refused']:,} refused, "
        f"{len(seen)} lines reached, {len(corpus)} kept",
        flush=True,
    )
    return None


def main() -> None:
    """Fuzz every reader for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--inputs", type=int, default=10**9, help="at most so many of each reader")
    parser.add_argument("--only", default="", help="readers whose names contain this")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    torch.set_num_threads(1)
    faulthandler.enable()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    every = targets(folder)
    found = {name: target for name, target in every.items() if given.only in name}
    limits = (60 * given.minutes / len(found), given.inputs)
    problems = []
    for name, (reader, file, corpus) in found.items():
        path = folder / name / file
        prepare(name, path, folder)
        problem = fuzz(name, reader, path, list(corpus), limits)
        if problem is not None:
            problems.append(name)
            print(f"{name}: {problem}\nthe input is {path}", flush=True)
    print(f"{sum(TRIED):,} inputs in all; wrong: {', '.join(problems) or 'nothing'}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
