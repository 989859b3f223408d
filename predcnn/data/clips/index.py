"""The descriptions of all clips under a folder, kept in a file next to them."""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch

from predcnn.data.clips.decoding import scan
from predcnn.data.clips.sources import Clip, ClipError, Source, find_sources
from predcnn.data.opencv import opencv
from predcnn.files import digest, replacing

log = logging.getLogger(__name__)

FILE = ".predcnn_index.json"
VERSION = 5  # of the rules of a scan too
SAVE_EVERY = 60.0  # seconds of a scan
AT_ONCE = 1000  # sources that wait for a thread


@dataclass(frozen=True)
class ClipIndex:
    """The usable clips under a root, and the problems of the others."""

    folder: Path  # where the paths of the clips start
    clips: tuple[Clip, ...]  # by path
    sha256: Mapping[str, str] = field(default_factory=dict)  # of every source
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes of every source
    problems: Mapping[str, str] = field(default_factory=dict)  # source -> why it is left out


def index_clips(root: Path, *, complete: bool = True) -> ClipIndex:
    """Scan new and changed clips under ``root``; the others come from ``FILE``, which is updated.

    A source is unchanged while the sizes and times of its files are. The scan uses a thread per
    core and saves what it has every `SAVE_EVERY` seconds, so that a scan that was killed goes on.

    Args:
        root: a folder of clips, or one clip.
        complete: decode very long videos too; False: index those by their packets.
    """
    import av

    folder = root if root.is_dir() else root.parent
    place = folder / FILE
    versions = [VERSION, opencv().__version__, list(av.library_versions["libavcodec"])]
    known = _remembered(place, versions)
    found = find_sources(root)
    sources = {s.place.relative_to(folder).as_posix(): s for s in found}
    if len(sources) < len(found):
        raise ValueError(f"{root} holds clips whose names differ in separators alone")
    stamps = {name: _stamp(source) for name, source in sources.items()}
    new = [name for name in sources if not _is_valid(known.get(name), stamps[name], complete)]
    entries = {name: known[name] for name in sources.keys() - new}
    if new:
        kept = {name: entry for name, entry in known.items() if (folder / name).exists()}
        save = partial(_remember, place, {"versions": versions, "sources": {**kept}})
        scans = {name: (sources[name], stamps[name]) for name in new}
        entries |= _scanned(scans, complete, save)
    entries = {name: entries[name] for name in sources}
    return ClipIndex(
        folder,
        tuple(_clip(facts) for entry in entries.values() for facts in entry["clips"]),
        {name: entry["sha256"] for name, entry in entries.items()},
        {name: sum(size for _, size, _ in entry["stamp"]) for name, entry in entries.items()},
        {name: entry["problem"] for name, entry in entries.items() if entry["problem"]},
    )


def _is_valid(entry: dict | None, stamp: list, complete: bool) -> bool:
    """Return whether an entry describes these files, scanned as completely as is asked for."""
    if entry is None or entry["stamp"] != stamp:
        return False
    return not complete or all(c["checks"] or c["kind"] != "video" for c in entry["clips"])


def _scanned(
    scans: Mapping[str, tuple[Source, list]], complete: bool, save: Callable[[dict], None]
) -> dict[str, dict]:
    """Scan sources on several threads; ``save`` receives all entries at times and at the end."""
    names, entries, saved_at = list(scans), {}, time.monotonic()
    threads = min(torch.get_num_threads(), len(names))

    def entry(name: str) -> dict:
        return _entry(*scans[name], name, complete, alone=len(names) == 1)

    with ThreadPoolExecutor(threads) as pool:
        try:
            for first in range(0, len(names), AT_ONCE):
                part = names[first : first + AT_ONCE]
                for name, found in zip(part, pool.map(entry, part), strict=True):
                    entries[name] = found
                    if time.monotonic() - saved_at > SAVE_EVERY:
                        save(entries)
                        saved_at = time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
            save(entries)
    return entries


def _entry(source: Source, stamp: list, name: str, complete: bool, alone: bool) -> dict:
    clips, problem = [], ""
    try:
        clips = [asdict(clip) for clip in scan(source, name, complete=complete, alone=alone)]
    except ClipError as error:
        problem = str(error)
    sha256 = _sha256(source) if clips else ""
    facts = {"stamp": stamp, "sha256": sha256, "clips": clips, "problem": problem}
    return json.loads(json.dumps(facts))  # the form in which the index stores it


def _stamp(source: Source) -> list:
    """Return name, size and time of every file."""
    found = [(path.name, path.stat()) for path in source.files()]
    return [[name, facts.st_size, facts.st_mtime_ns] for name, facts in found]


def _sha256(source: Source) -> str:
    files = source.files()
    if source.kind != "images":
        return digest(files[0])
    joint = "".join(f"{path.name} {digest(path)}\n" for path in files)
    return hashlib.sha256(joint.encode(errors="surrogateescape")).hexdigest()


def _clip(facts: dict) -> Clip:
    lists = {key: tuple(value) for key, value in facts.items() if isinstance(value, list)}
    return Clip(**{**facts, **lists})


def _remembered(place: Path, versions: list) -> dict[str, dict]:
    """Return the entries of an index of these versions, none if it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(place.read_text(encoding="utf-8"))
        if content["versions"] == versions and isinstance(content["sources"], dict):
            return content["sources"]
    return {}


def _remember(place: Path, content: dict, entries: dict[str, dict]) -> None:
    """Save an index with more entries."""
    content["sources"].update(entries)
    try:
        with replacing(place) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        log.warning(
            "the index of clips cannot be saved, clips are scanned at every start: %s", error
        )
