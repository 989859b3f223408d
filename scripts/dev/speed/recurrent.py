"""Recurrent predictors: batched over time where possible, compared with one step at a time."""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import predcnn
from scripts.dev.speed.comparing import Comparison
from tests.reference.recurrent import STEPS, run_stepwise

STACKED = {"num_hidden": (32, 32), "filter_size": 3}
SMALL: dict[str, dict] = {
    **dict.fromkeys(("convlstm", "predrnn", "predrnnpp", "predrnnv2", "mim"), STACKED),
    "e3dlstm": {"num_hidden": (32,), "filter_size": 3, "patch_size": 8},
    "phydnet": {"convlstm_hidden": (64,)},
    "mau": {"num_hidden": (16, 16), "filter_size": 3},
    "swinlstm": {
        "depths_downsample": (2,),
        "depths_upsample": (2,),
        "num_heads": (2,),
        "embed_dim": 16,
    },
    "vmrnn": {
        "depths_downsample": (1,),
        "depths_upsample": (1,),
        "patch_size": 4,
        "embed_dim": 32,
    },
    "prednet": {"stack_sizes": (1, 8, 16, 32)},
    "dmvfn": {"num_features": (40, 40, 40, 20, 20, 20, 12, 12, 12)},
}
"""The sizes of ``scale=small``."""
PAST = FUTURE = 10
BATCH = 4


def _learn(
    net: nn.Module, frames: Tensor, predictions: Tensor, decoupling: Tensor | None
) -> list[Tensor]:
    """The gradients of the error, with PredRNN-V2's decoupling term."""
    loss = (predictions - frames[:, 1:]).square().mean()
    if decoupling is not None:
        loss = loss + 0.1 * decoupling
    parameters = list(net.parameters())
    return [loss, *torch.autograd.grad(loss, parameters, allow_unused=True)]


def _ways(
    net: nn.Module, frames: Tensor, use_truth: Tensor
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Name of the measurement -> (ours, step by step)."""
    past, everything = frames[:, :PAST], torch.cat([frames[:, :PAST]] * 2, dim=1)

    @torch.no_grad()
    def predict_stepwise() -> Tensor:
        return run_stepwise(net, everything, use_truth)[0][:, PAST - 1 :]

    def learn_stepwise() -> list[Tensor]:
        predictions, step = run_stepwise(net, frames, use_truth)
        found = getattr(step, "decoupling", [])
        return _learn(net, frames, predictions, torch.stack(found).mean() if found else None)

    def learn() -> list[Tensor]:
        predictions, extras = net.unroll(frames, use_truth)
        return _learn(net, frames, predictions, extras.get("decoupling"))

    return {
        "predict": (torch.no_grad()(lambda: net(past)), predict_stepwise),
        "unroll + gradients": (learn, learn_stepwise),
    }


def _pair(name: str, frames: Tensor, use_truth: Tensor) -> Iterator[Comparison]:
    torch.manual_seed(0)
    in_shape = (PAST, *frames.shape[2:])
    net = predcnn.create_predictor(name, in_shape=in_shape, frames_out=FUTURE, **SMALL[name]).eval()
    exactly = _ways(copy.deepcopy(net).double(), frames.double(), use_truth)
    for what, ways in _ways(net, frames, use_truth).items():
        yield Comparison(f"{name} {what}", *ways, tolerance=1e-9, exactly=exactly[what])


def cases(wanted: Callable[[str], bool]) -> Iterator[Comparison]:
    """Two rows a model, small scale, 10 + 10 frames of 1x64x64, batch 4, eval mode.

    ``predict``: `forward` against the published test loop. ``unroll + gradients``: the training
    pass with the truth fed for the past. Nothing is drawn at random, so that both sides are equal:
    in double precision, since twenty steps amplify the rounding of single precision.
    """
    torch.manual_seed(1)
    frames = torch.rand(BATCH, PAST + FUTURE, 1, 64, 64)
    use_truth = (torch.arange(PAST + FUTURE - 1) < PAST).expand(BATCH, -1)
    for name in STEPS:
        if wanted(name):
            yield from _pair(name, frames, use_truth)
