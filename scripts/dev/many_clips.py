"""Start of a data set of many clips, and the memory of its loader workers.

``python scripts/dev/many_clips.py FOLDER --clips 200000`` writes copies of 64 miniature videos and
scans the first thousand; the index of the others follows from it, unless ``--scan`` is given. It
prints the seconds of a start with a complete index and the memory of each worker over an epoch.
"""

import argparse
import copy
import json
import os
import resource
import time
from pathlib import Path

import av
import numpy as np

from predcnn.data import create_datamodule
from predcnn.data.clips.index import FILE, index_clips

KINDS, FRAMES, SIZE, IN_FOLDER = 64, 16, 16, 1000


def write_clips(root: Path, count: int) -> None:
    """Write ``count`` videos, a thousand in a folder."""
    videos = []
    for kind in range(KINDS):
        path = root / "kind.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
            for t in range(FRAMES):
                shade = np.full((SIZE, SIZE, 3), (9 * t + kind) % 256, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
            container.mux(stream.encode())
        videos.append(path.read_bytes())
    path.unlink()
    for i in range(count):
        folder = root / f"{i // IN_FOLDER:04}"
        folder.mkdir(exist_ok=True)
        (folder / f"{i:07}.mp4").write_bytes(videos[i % KINDS])


def complete_index(root: Path) -> None:
    """Write the index of all clips from that of the first folder."""
    known = json.loads((root / "0000" / FILE).read_text())
    kinds = [known["sources"][f"{i:07}.mp4"] for i in range(KINDS)]
    for path in sorted(root.glob("*/*.mp4")):
        name, facts = path.relative_to(root).as_posix(), path.stat()
        entry = copy.deepcopy(kinds[int(path.stem) % KINDS])
        entry["stamp"] = [[path.name, facts.st_size, facts.st_mtime_ns]]
        entry["clips"][0] |= {"name": name, "source": name}
        known["sources"][name] = entry
    for name in list(known["sources"]):
        if "/" not in name:
            del known["sources"][name]
    (root / FILE).write_text(json.dumps(known))


def private(process: int) -> float:
    """MiB that a process shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def measure(root: Path, workers: int, batches: int) -> None:
    """Print the time of a start, and the private memory of each worker over the batches."""
    began, computed = time.monotonic(), time.process_time()
    data = create_datamodule(
        "video_folder", root=root, frames_in=8, frames_out=8, height=16, batch_size=64,
        num_workers=workers, cache_mb=64,
    )  # fmt: skip
    data.setup("fit")
    seconds, computed = time.monotonic() - began, time.process_time() - computed
    print(
        f"{workers} workers: {data.lengths}; start {seconds:.1f} s, {computed:.1f} s of computing"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak {peak:.0f} MiB, then {private(os.getpid()):.0f} MiB")
    noted = []
    for i, _ in enumerate(data.train_dataloader()):
        if workers and i % (batches // 4) == batches // 4 - 1:
            tasks = Path("/proc/self/task").iterdir()
            children = [c for task in tasks for c in (task / "children").read_text().split()]
            noted.append(" ".join(f"{private(int(child)):.0f}" for child in children))
        if i == batches:
            break
    print(f"  private MiB of each worker over {batches} batches of 64: {' | '.join(noted)}")


def main() -> None:
    """Write, scan, start, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    parser.add_argument("--scan", action="store_true", help="scan every clip")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if not (given.folder / FILE).exists():
        write_clips(given.folder, given.clips)
        part = given.folder if given.scan else given.folder / "0000"
        began, computed = time.monotonic(), time.process_time()
        count = len(index_clips(part).clips)
        seconds, computed = time.monotonic() - began, time.process_time() - computed
        print(f"scan of {count:,} clips: {seconds:.0f} s, {computed:.1f} s of computing")
        if not given.scan:
            complete_index(given.folder)
    for workers in given.workers:
        measure(given.folder, workers, given.batches)


if __name__ == "__main__":
    main()
