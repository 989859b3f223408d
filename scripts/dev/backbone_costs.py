"""The cost table of docs/models/backbones.md: our counts and the published figures.

    python scripts/dev/backbone_costs.py              # parameters, multiply–adds: exact
    python scripts/dev/backbone_costs.py --measure    # also peak memory and images/s, here

The second needs an idle machine and measures every network in a process of its own. Both replace
the table in the document; the first keeps what was measured before.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import torch

import predcnn
from predcnn.costs import describe_device, peak_memory, throughput

DOCUMENT = Path(__file__).parents[2] / "docs/models/backbones.md"
TABLE = re.compile(r"(?<=<!-- costs -->\n).*(?=<!-- /costs -->)", re.DOTALL)
HEAD = (
    "| network | image | parameters (M) | published | multiply–adds (G) | published "
    "| peak memory (MiB) | images/s |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
)
NOTHING = "–"
SIZES = {
    "replknet_31l": 384,
    "replknet_xl": 320,
    "internimage_l": 384,
    "internimage_xl": 384,
    "flashinternimage_l": 384,
}
# millions of parameters and billions of multiply–adds as the authors print them
PUBLISHED = {
    "moganet_xtiny": (2.97, 0.80), "moganet_tiny": (5.20, 1.10), "moganet_small": (25.3, 4.97),
    "moganet_base": (43.9, 9.93), "moganet_large": (82.5, 15.9), "moganet_xlarge": (180.8, 34.5),
    "van_b0": (4.1, 0.9), "van_b1": (13.9, 2.5), "van_b2": (26.6, 5.0), "van_b3": (44.8, 9.0),
    "van_b4": (60.3, 12.2), "van_b5": (90.0, 17.2), "van_b6": (200, 38.4),
    "hornet_tiny_7x7": (22, 4.0), "hornet_tiny_gf": (23, 3.9), "hornet_small_7x7": (50, 8.8),
    "hornet_small_gf": (50, 8.7), "hornet_base_7x7": (87, 15.6), "hornet_base_gf": (88, 15.5),
    "hornet_large_7x7": (209, 34.8), "hornet_large_gf": (211, 34.7),
    "replknet_31b": (79, 15.3), "replknet_31l": (172, 96.0), "replknet_xl": (335, 128.7),
    "slak_tiny": (30, 5.0), "slak_small": (55, 9.8), "slak_base": (95, 17.1),
    "unireplknet_a": (4.4, 0.6), "unireplknet_f": (6.2, 0.9), "unireplknet_p": (10.7, 1.6),
    "unireplknet_n": (18.3, 2.8), "unireplknet_t": (31, 4.9), "unireplknet_s": (56, 9.1),
    "unireplknet_b": (98, None), "unireplknet_l": (218, None), "unireplknet_xl": (386, None),
    "internimage_t": (30, 5), "internimage_s": (50, 8), "internimage_b": (97, 16),
    "internimage_l": (223, 108), "internimage_xl": (335, 163),
    "flashinternimage_t": (30, None), "flashinternimage_s": (50, None),
    "flashinternimage_b": (97, None), "flashinternimage_l": (223, None),
    "uniformer_small": (22, 3.6), "uniformer_small_plus": (24, 4.2), "uniformer_base": (50, 8.3),
    "vmamba_tiny": (30, 4.9), "vmamba_small": (49, 8.6), "vmamba_base": (87, 15.2),
    "vmamba_v0_tiny": (22, 5.6), "vmamba_v0_small": (44, 11.2), "vmamba_v0_base": (75, 18.0),
}  # fmt: skip
TIMM = (
    "convnext_tiny convnext_small convnext_base convnext_large convnextv2_atto convnextv2_tiny "
    "convnextv2_base inception_next_tiny inception_next_small inception_next_base "
    "focalnet_tiny_lrf focalnet_small_lrf focalnet_base_lrf poolformer_s12 poolformer_s24 "
    "poolformer_s36 convformer_s18 caformer_s18 swin_tiny_patch4_window7_224 "
    "swin_small_patch4_window7_224 swin_base_patch4_window7_224 deit_small_patch16_224 "
    "vit_base_patch16_224 convmixer_768_32 mixer_b16_224 mambaout_tiny"
)
ROUNDS = 5


def names() -> list[str]:
    """Ours in the order of `PUBLISHED`, then timm's."""
    ours = sorted(predcnn.list_backbones(), key=list(PUBLISHED).index)
    return [*ours, *(f"timm/{name}" for name in TIMM.split())]


def count(name: str) -> tuple[str, str]:
    """Millions of parameters and billions of multiply–adds; from shapes alone."""
    size = SIZES.get(name, 224)
    with torch.device("meta"):
        profile = predcnn.profile(predcnn.create_backbone(name), (3, size, size))
    return f"{profile.params / 1e6:.2f}", f"{profile.macs / 1e9:.2f}"


def measure(name: str) -> dict[str, float]:
    """Bytes beyond the weights and images a second, of one image in eval mode."""
    size = SIZES.get(name, 224)
    net = predcnn.create_backbone(name).eval()
    x = torch.rand(1, 3, size, size)
    with torch.no_grad():
        memory = peak_memory(lambda: net(x))
    speed = throughput(net, (3, size, size), rounds=ROUNDS, warm_up=1)
    return {"memory": memory, "speed": speed.sequences_per_second}


def measured_separately(name: str) -> tuple[str, str]:
    """`measure` in a new process, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return f"{found['memory'] / 2**20:.0f}", f"{found['speed']:.2f}"


def measured_before(document: str) -> tuple[dict[str, list[str]], list[str]]:
    """The last two columns of the table as it stands, by network; what stands below it."""
    lines = TABLE.search(document)[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    below = [line for line in lines if not line.startswith("|")]
    return {row[0].strip("`"): row[-2:] for row in rows}, below


def main() -> None:
    """Parse the command line, count or measure every network, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure memory and speed here")
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    document = DOCUMENT.read_text(encoding="utf-8")
    before, below = measured_before(document)
    lines = [*HEAD]
    for name in names():
        params, macs = count(name)
        own = [NOTHING if n is None else f"{n:g}" for n in PUBLISHED.get(name, (None, None))]
        costs = measured_separately(name) if arguments.measure else before.get(name, [NOTHING] * 2)
        size = str(SIZES.get(name, 224))
        row = [f"`{name}`", size, params, own[0], macs, own[1], *costs]
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    if arguments.measure:
        below = ["", f"Measured on {describe_device()}, one image, median of {ROUNDS} passes."]
    text = TABLE.sub(lambda _: "\n".join([*lines, *below, ""]), document)
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
