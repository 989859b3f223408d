"""Stage b: speed and memory at published size, alternating with the reference formulation.

The reference is what published code does: contiguous maps, eager, float32 without TF32.
"""

import contextlib
import copy
import functools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import predcnn
from predcnn.ops import plain
from scripts.dev.gpu.stage import FIRST, IN_SHAPE, Setting, Stage
from scripts.dev.gpu.timing import alternating, mebibytes, ratio, tf32
from tests.reference.simvp import SIZES, TRANSLATORS

MODERN = ("mamba", "dcnv3", "replknet", "slak")
PREDICTORS = ("predrnn", "predformer")
ROUNDS = 3


@dataclass(frozen=True)
class Way:
    """One way to compute the same model.

    Attributes:
        overrides: what sets it in a training run; empty: no override does.
        tf32: in matrix products and convolutions.
        bfloat16: autocast.
        channels_last: memory layout.
        mode: of ``torch.compile``; None: eager.
        reference: unfused operators and torch's default optimizer.
    """

    overrides: tuple[str, ...] = ()
    tf32: bool = False
    bfloat16: bool = False
    channels_last: bool = False
    mode: str | None = None
    reference: bool = False

    def prepare(self, net: nn.Module) -> nn.Module:
        """A copy of the model in this way's layout."""
        net = copy.deepcopy(net)
        if self.channels_last:
            net.to(memory_format=torch.channels_last)
        if self.mode:
            torch.compiler.reset()
            net.compile(dynamic=False, mode=self.mode)
        return net

    @contextlib.contextmanager
    def numbers(self, device: torch.device) -> Iterator[None]:
        """The precision, and the formulation, inside."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(tf32(self.tf32))
            if self.reference:
                stack.enter_context(plain())
            stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16))
            yield


REFERENCE = Way(reference=True)
BF16, LAST = "trainer.precision=bf16-mixed", "channels_last=true"
EAGER: dict[str, Way] = {
    "float32": Way(("matmul_precision=highest",)),
    "TF32": Way(("matmul_precision=high",), tf32=True),
    "bf16": Way((BF16,), tf32=True, bfloat16=True),
    "bf16 channels_last": Way((BF16, LAST), tf32=True, bfloat16=True, channels_last=True),
}
COMPILED = {"compiled": Way((BF16, LAST, "compile=true"), True, True, True, mode="default")}
GRAPHS = {"CUDA graphs": Way((), True, True, True, mode="reduce-overhead")}


def model(name: str, setting: Setting) -> nn.Module:
    """A predictor of published size on the device; tiny in a dry run."""
    torch.manual_seed(0)
    if name in predcnn.list_translators():
        sizes = {"hid_S": 8, "hid_T": 32, "N_T": 2} if setting.dry else SIZES["published"]
        net = predcnn.create_predictor("simvp", in_shape=IN_SHAPE, translator=name, **sizes)
    else:
        net = predcnn.create_predictor(name, in_shape=IN_SHAPE, scale="published")
    return net.to(setting.device)


def predicting(net: nn.Module, way: Way, batch: int, device: torch.device) -> Callable[[], Tensor]:
    """A function that predicts ``batch`` sequences."""
    past = torch.rand(batch, *IN_SHAPE, device=device)
    net.eval()

    @torch.no_grad()
    def call() -> Tensor:
        with way.numbers(device):
            return net(past)

    return call


def training(net: nn.Module, way: Way, batch: int, device: torch.device) -> Callable[[], None]:
    """A function that takes one optimizer step."""
    past, future = torch.rand(2, batch, *IN_SHAPE, device=device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=None if way.reference else True)
    net.train()

    def call() -> None:
        optimizer.zero_grad()
        with way.numbers(device):
            functional.mse_loss(net(past), future).backward()
        optimizer.step()

    return call


WORKS: dict[str, tuple[Callable, int, int]] = {
    "predict 1": (predicting, 1, 1),
    "predict 16": (predicting, 16, 1),
    "train 16": (training, 16, 3),
}
"""Name -> (calls, batch, forward passes that it costs)."""
BATCHED = ("predict 16", "train 16")


def measure(name: str, ways: Mapping[str, Way], work: str, setting: Setting) -> dict:
    """Every way's sequences/s, ratio to the reference, share of the matrix peak, memory."""
    make, batch, passes = WORKS[work]
    batch = min(batch, 2) if setting.dry else batch
    device, net = setting.device, model(name, setting)
    macs = predcnn.profile(net, IN_SHAPE).macs * batch * passes
    calls = {
        key: make(way.prepare(net), way, batch, device)
        for key, way in {"reference": REFERENCE, **ways}.items()
    }
    seconds = alternating(calls, device, 1 if setting.dry else ROUNDS)
    row: dict[str, float] = {}
    for key, call in calls.items():
        median = statistics.median(seconds[key])
        row[f"{key} seq/s"] = batch / median
        row[f"{key} MiB"] = mebibytes(call, device)
        if key != "reference":
            row[f"{key} ratio"] = ratio(seconds["reference"], seconds[key])
            row[f"{key} of peak"] = macs / median / setting.peak
    if work != "train 16" and name in v100():
        row["published V100 seq/s"] = v100()[name]
    if work == "train 16":
        _remember(name, {key: row[f"{key} seq/s"] for key in ways}, ways, setting)
    return row


def _remember(
    name: str, speeds: Mapping[str, float], ways: Mapping[str, Way], setting: Setting
) -> None:
    """Keep the fastest training step for the later stages."""
    setting.fastest = max([*speeds.values(), setting.fastest])
    for key, speed in speeds.items():
        if name == "moganet" and ways[key].overrides and speed > setting.best_speed:
            setting.best_speed, setting.best = speed, list(ways[key].overrides)


@functools.cache
def v100() -> dict[str, float]:
    """Published prediction speeds on Moving MNIST, one V100."""
    from predcnn.leaderboard.published import FILE

    rows = json.loads(FILE.read_text(encoding="utf-8"))["rows"]
    return {
        row["name"]: row["fps_v100"]
        for row in rows
        if row["data"] == "moving_mnist" and row["name"] and row["fps_v100"]
    }


def run(stage: Stage, setting: Setting) -> None:
    """The four first models eager, two of them compiled, all others, then what is left."""

    def cases(names: tuple[str, ...], ways: Mapping[str, Way], works: tuple[str, ...]) -> None:
        for name in names:
            for work in works:
                case = functools.partial(measure, name, ways, work, setting)
                stage.run(f"{name}, {work}, {' / '.join(ways)}", case)

    if setting.dry:
        cases(FIRST[:1], {"float32": EAGER["float32"]}, ("predict 1", "train 16"))
        return
    known = {*predcnn.list_translators(), *predcnn.list_predictors()}
    translators = tuple(name for name in (*TRANSLATORS, *MODERN) if name not in FIRST)
    others = (*translators, *(name for name in PREDICTORS if name in known))
    cases(FIRST, EAGER, tuple(WORKS))
    cases(FIRST[:2], COMPILED, BATCHED)
    cases(others, EAGER, tuple(WORKS))
    cases(FIRST[2:], COMPILED, BATCHED)
    cases(FIRST, GRAPHS, BATCHED)
    if setting.full:
        cases(translators, COMPILED | GRAPHS, BATCHED)
