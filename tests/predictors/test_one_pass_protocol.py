"""What every predictor without recurrence must do, over all that are registered."""

import pytest
import torch

import predcnn
from predcnn.predictors.exporting import capture
from tests.predictors.one_pass_cases import SIZE, TINY, clip, one_pass_cases, one_pass_names, tiny

CASES = one_pass_cases()
case = pytest.mark.parametrize(
    ("name", "form"),
    CASES,
    ids=["-".join([name, *map(str, form.values())]) for name, form in CASES],
)
every = pytest.mark.parametrize("name", one_pass_names())
CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def test_every_predictor_has_a_tiny_size():
    assert set(TINY) <= set(one_pass_names())


@case
@torch.no_grad()
def test_forward_keeps_no_state_and_samples_are_independent(name, form):
    model, past = tiny(name, **form), clip(3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    out = model(past)
    assert out.shape == (3, 4, 2, *SIZE)
    assert torch.isfinite(out).all()
    assert torch.equal(model(past), out)
    torch.testing.assert_close(model(past[1:2]), out[1:2], **CLOSE)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@case
@pytest.mark.parametrize("frames_out", [1, 3, 10])
@torch.no_grad()
def test_other_numbers_of_future_frames(name, form, frames_out):
    model = tiny(name, frames_out, **form)
    assert model(clip()).shape == (2, frames_out, 2, *SIZE)
    assert model.predict(clip(), horizon=5).shape == (2, 5, 2, *SIZE)


@case
def test_gradient_reaches_every_parameter(name, form):
    model = tiny(name, **form).train()
    past = clip(3).requires_grad_()
    (model(past) - torch.rand(3, 4, 2, *SIZE)).square().sum().backward()
    assert past.grad.abs().max() > 0
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@case
@torch.no_grad()
def test_config_and_weights_rebuild_it(name, form):
    model, past = tiny(name, **form), clip(1)
    again = predcnn.create_predictor(**model.config).eval()
    again.load_state_dict(model.state_dict())
    assert again.config == model.config
    assert torch.equal(again(past), model(past))


@every
def test_predict_takes_any_size(name):
    model = tiny(name).train()
    out = model.predict(clip(size=(21, 37)))
    assert out.shape == (2, 4, 2, 21, 37)
    assert torch.isfinite(out).all()
    assert model.training


@every
@torch.no_grad()
def test_bfloat16(name):
    model, past = tiny(name), clip()
    exact = model(past)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(past)
    assert (rounded.float() - exact).norm() <= 0.1 * exact.norm()


@case
@torch.no_grad()
def test_torch_export(name, form):
    model = tiny(name, **form)
    program, past = capture(model), clip(3)
    torch.testing.assert_close(program.module()(past), model(past), **CLOSE)


@case
@torch.no_grad()
def test_merging_keeps_the_output(name, form):
    model, past = tiny(name, **form), clip()
    model.train()(clip(4))  # gives batch norms statistics that matter
    model.eval()
    before = model(past)
    torch.testing.assert_close(model.merge()(past), before, rtol=1e-3, atol=1e-4)
