"""The step-by-step loop of every recurrent predictor."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.reference import stepwise_lstm, stepwise_nets
from tests.reference.stepwise_lstm import Step

STEPS: dict[str, Callable[[nn.Module], Step]] = {
    "convlstm": stepwise_lstm.convlstm,
    "predrnn": stepwise_lstm.predrnn,
    "predrnnpp": stepwise_lstm.predrnnpp,
    "predrnnv2": stepwise_lstm.predrnn,
    "mim": stepwise_lstm.mim,
    "e3dlstm": stepwise_lstm.e3dlstm,
    "phydnet": stepwise_nets.phydnet,
    "mau": stepwise_nets.mau,
    "swinlstm": stepwise_nets.swinlstm,
    "vmrnn": stepwise_nets.vmrnn,
    "prednet": stepwise_nets.prednet,
    "dmvfn": stepwise_nets.dmvfn,
}


def run_stepwise(net: nn.Module, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, Step]:
    """Predict frames 1..T-1 one reference step at a time; return the predictions and the step.

    As in the published code, masks of the frames' size mix true and predicted frames.
    """
    fed = net.enter(frames).transpose(0, 1)  # (B, T, C', H', W')
    mask = use_truth[:, :, None, None, None].to(fed.dtype).expand(-1, -1, *fed.shape[2:])
    mask = mask.contiguous()
    step, predictions = STEPS[net.config["name"]](net), []
    x = fed[:, 0]
    for t in range(use_truth.shape[1]):
        if t:
            x = mask[:, t] * fed[:, t] + (1 - mask[:, t]) * predictions[-1]
        predictions.append(step(x))
    return net.leave(torch.stack(predictions)), step
