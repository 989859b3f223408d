"""Masked frames: inputs, loss, and refused predictors."""

import pytest
import torch
from torch import nn

from predcnn import create_predictor
from predcnn.pretraining.masked_frames import MaskedFrames
from predcnn.pretraining.masks import at_size

SIMVP = {"translator": "van", "hid_S": 4, "hid_T": 8, "N_S": 2, "N_T": 2}


class Identity(nn.Module):
    """A predictor that returns its input."""

    in_shape, frames_out = (3, 1, 16, 16), 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return past * self.scale


def test_hidden_cells_are_the_mean_and_only_they_are_in_the_loss():
    method = MaskedFrames(Identity(), cell=4, ratio=0.5)
    past = torch.rand(2, 3, 1, 16, 16)
    mask = method.masks(2, torch.Generator().manual_seed(0))
    assert mask.flatten(1).sum(1).tolist() == [8] * 6
    assert len(mask.unique(dim=0)) == 6  # every frame has its own
    found = method(past, mask)
    frames, hidden = past.flatten(0, 1), at_size(mask, (16, 16))
    mean = frames.mean((2, 3), keepdim=True).expand_as(frames)
    assert torch.equal(found.pixels[hidden], mean[hidden])
    assert torch.equal(found.pixels[~hidden], frames[~hidden])
    assert found.loss.item() == pytest.approx(((mean - frames)[hidden] ** 2).mean().item())


def test_a_frame_is_filled_in_from_its_neighbours():
    predictor = create_predictor("simvp", in_shape=(3, 1, 16, 16), **SIMVP)
    method = MaskedFrames(predictor)
    past = torch.rand(1, 3, 1, 16, 16, requires_grad=True)
    mask = method.masks(1, torch.Generator().manual_seed(0))
    method(past, mask).pixels[0].sum().backward()
    assert past.grad[0, 1:].abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("convlstm", (3, 1, 16, 16), {}, "model=simvp"),
        ("copy_last", (3, 1, 16, 16), {}, "model=simvp"),
        ("simvp", (3, 1, 16, 16), {**SIMVP, "frames_out": 2}, "data.frames_out=3"),
        ("simvp", (3, 1, 16, 24), SIMVP, "square, not 16x24"),
        ("simvp", (3, 1, 20, 20), SIMVP, "cells of 8"),
    ],
)
def test_unsuitable_predictors_raise(name, shape, options, message):
    predictor = create_predictor(name, in_shape=shape, **options)
    with pytest.raises(ValueError, match=message):
        MaskedFrames(predictor)
