"""What every recurrent predictor must do, over all that are registered."""

import pytest
import torch

import predcnn
from tests.predictors.recurrent_cases import (
    SIZE,
    clip,
    recurrent_cases,
    recurrent_names,
    tiny,
    truth_up_to,
)

CASES = recurrent_cases()
case = pytest.mark.parametrize(
    ("name", "form"), CASES, ids=["-".join([name, *form]) for name, form in CASES]
)
every = pytest.mark.parametrize("name", recurrent_names())
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def test_all_published_recurrent_models_are_there() -> None:
    wanted = "convlstm dmvfn e3dlstm mau mim phydnet prednet predrnn predrnnpp predrnnv2 swinlstm "
    wanted += "vmrnn"
    assert set(wanted.split()) <= set(recurrent_names())


@case
@torch.no_grad()
def test_forward_keeps_no_state_and_samples_are_independent(name: str, form: dict) -> None:
    model, past = tiny(name, **form), clip(3, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    out = model(past)
    assert out.shape == (3, 3, 1, *SIZE)
    assert torch.isfinite(out).all()
    assert torch.equal(model(past), out)
    torch.testing.assert_close(model(past[1:2]), out[1:2], **CLOSE)
    torch.testing.assert_close(model(past.flip(0)), out.flip(0), **CLOSE)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@case
@torch.no_grad()
def test_horizons_agree(name: str, form: dict) -> None:
    longest, past = tiny(name, 5, **form), clip(2, 3)
    short = tiny(name, 1, **form)
    short.load_state_dict(longest.state_dict())
    five = longest(past)
    assert five.shape[1] == 5
    torch.testing.assert_close(short(past), five[:, :1], **CLOSE)
    torch.testing.assert_close(short.rollout(past, 5), five, **CLOSE)


@case
@torch.no_grad()
def test_forward_equals_unroll_on_the_past(name: str, form: dict) -> None:
    model, frames = tiny(name, **form), clip(2, 6)
    full, _ = model.unroll(frames, truth_up_to(3, 2, 5))
    assert full.shape == (2, 5, 1, *SIZE)
    torch.testing.assert_close(full[:, 2:], model(frames[:, :3]), **CLOSE)
    torch.testing.assert_close(model.published_pass(frames[:, :3]), full, **CLOSE)


@case
@torch.no_grad()
def test_frames_that_are_not_fed_have_no_effect(name: str, form: dict) -> None:
    model, frames = tiny(name, **form), clip(2, 6)
    use_truth = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 1, 1, 0]], dtype=torch.bool)
    full, _ = model.unroll(frames, use_truth)
    hidden = frames.clone()
    hidden[:, :5][~use_truth] = float("nan")
    hidden[:, 5] = float("nan")
    torch.testing.assert_close(model.unroll(hidden, use_truth)[0], full, rtol=0, atol=0)
    # what is fed has one: every later prediction of that sample changes, no other
    changed = frames.clone()
    changed[0, 4] = 1 - changed[0, 4]
    other, _ = model.unroll(changed, use_truth)
    torch.testing.assert_close(other[1], full[1], **CLOSE)
    torch.testing.assert_close(other[0, :4], full[0, :4], **CLOSE)
    assert (other[0, 4] - full[0, 4]).abs().max() > 1e-6


@case
@torch.no_grad()
def test_feeding_back_equals_feeding_the_prediction_as_truth(name: str, form: dict) -> None:
    model, frames = tiny(name, **form), clip(2, 6)
    use_truth = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0]], dtype=torch.bool)
    free, _ = model.unroll(frames, use_truth)
    fed = frames.clone()
    for sample, step in (~use_truth).nonzero().tolist():
        fed[sample, step] = free[sample, step - 1]
    forced, _ = model.unroll(fed, torch.ones_like(use_truth))
    torch.testing.assert_close(forced, free, **CLOSE)
    # and a step sees nothing that comes later
    shorter, _ = model.unroll(fed[:, :4], torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(shorter, forced[:, :3], **CLOSE)


@case
def test_gradient_reaches_every_parameter(name: str, form: dict) -> None:
    model = tiny(name, **form).train()
    frames = clip(4, 5)
    predictions, extras = model.unroll(frames, truth_up_to(3, 4, 4))
    loss = (predictions - frames[:, 1:]).square().sum()
    loss = loss + sum(value.square().sum() for value in extras.values())
    loss.backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@case
def test_config_and_weights_rebuild_it(name: str, form: dict) -> None:
    model, past = tiny(name, **form), clip(1, 3)
    again = predcnn.create_predictor(**model.config).eval()
    again.load_state_dict(model.state_dict())
    assert again.config == model.config
    with torch.no_grad():
        assert torch.equal(again(past), model(past))


@every
def test_predict_takes_any_size_and_horizon(name: str) -> None:
    model = tiny(name).train()
    frames = torch.rand(2, 3, 1, 21, 37)
    out = model.predict(frames, horizon=4)
    assert out.shape == (2, 4, 1, 21, 37)
    assert torch.isfinite(out).all()
    assert model.training


@every
@torch.no_grad()
def test_three_channels_and_bfloat16(name: str) -> None:
    model = tiny(name, channels=3)
    past = torch.rand(2, 3, 3, *SIZE)
    exact = model(past)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(past)
    assert exact.shape == rounded.shape == (2, 3, 3, *SIZE)
    torch.testing.assert_close(rounded.float(), exact, rtol=0.2, atol=0.2)


@every
def test_sizes_are_checked(name: str) -> None:
    model = tiny(name)
    if model.needs_resolution:
        with pytest.raises(ValueError, match=r"built for frames \(H, W\) = \(16, 32\), not"):
            model(torch.rand(1, 3, 1, 32, 32))
    else:
        H, W = SIZE
        assert model(torch.rand(1, 3, 1, 2 * H, W)).shape == (1, 3, 1, 2 * H, W)
        with pytest.raises(ValueError, match=f"multiples of {model.size_multiple}"):
            model(torch.rand(1, 3, 1, H + 1, W))
    config = {**model.config, "in_shape": (3, 1, 17, 32)}
    with pytest.raises(ValueError, match=r"multiples of \d+, such as \(\d+, 32\), not .*17, 32"):
        predcnn.create_predictor(**config)


@every
@pytest.mark.parametrize(
    ("use_truth", "message"),
    [
        (torch.ones(2, 3), "bool"),
        (torch.ones(2, 4, dtype=torch.bool), r"\(2, 3\)"),
        (torch.zeros(2, 3, dtype=torch.bool), "no prediction of frame 0"),
    ],
    ids=["float", "shape", "first"],
)
def test_use_truth_is_checked(name: str, use_truth: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(name).unroll(clip(2, 4), use_truth)
