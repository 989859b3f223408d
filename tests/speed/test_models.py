"""The models that are measured compute something."""

import pytest
import torch

from tests.reference.simvp import clips, pairs


@pytest.mark.parametrize("name", ["published moganet", "small convmixer"])
@torch.no_grad()
def test_activations_stay_in_bounds(name):
    (pair,) = pairs(lambda word: word == name, tuple(name.split()[:1]))
    past, _ = clips(1)
    out = pair.ours.eval()(past)
    assert out.abs().max() < 100
    torch.testing.assert_close(out, pair.plain.eval()(past), atol=1e-3, rtol=1e-3)
    norms = [m for m in pair.ours.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert all(norm.momentum != 1 for norm in norms)
