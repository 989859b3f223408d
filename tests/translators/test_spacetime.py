"""The translator that factorises space and time."""

import pytest
import torch

import predcnn

SIMVP = {"in_shape": (4, 1, 16, 24), "hid_S": 8, "hid_T": 32, "N_S": 2, "N_T": 4}


def made(**options):
    return predcnn.create_predictor(
        "simvp", translator="spacetime", translator_options=options, **SIMVP
    ).eval()


@pytest.mark.parametrize("space", ["moganet", "gsta", "attention"])
@pytest.mark.parametrize("time", ["moganet", "attention"])
def test_any_block_over_space_and_time(space, time):
    model = made(space=space, time=time, order="tsst")
    model(torch.rand(2, 4, 1, 16, 24)).square().sum().backward()
    assert all(p.grad is not None for p in model.translator.parameters())


@torch.no_grad()
def test_space_does_not_mix_frames_and_time_does_not_mix_pixels():
    for order, axes in (("s", (2, 3, 4)), ("t", (1, 2))):
        net = made(space="attention", order=order).translator
        x = torch.rand(1, 32, 8, 12)
        other = x.clone()
        other[:, :8, 0, 0] += 1  # frame 0, pixel (0, 0)
        changed = (net(other) - net(x)).unflatten(1, (4, 8)).abs() > 1e-6
        touched = changed.any(dim=(0, *axes)) if order == "s" else changed.any(dim=0).any(0).any(0)
        expected = torch.zeros_like(touched)
        expected.view(-1)[0] = True
        assert torch.equal(touched, expected)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="pattern of s and t"):
        made(order="xy")
    with pytest.raises(TypeError, match="no spacetime option 'speed'"):
        made(speed=1)
