"""Objectives of the recurrent predictors compared with the published formulas."""

import math

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor
from torch.nn import functional

from predcnn.predictors.dmvfn import DMVFN
from predcnn.training.prediction import VideoPrediction
from predcnn.training.sampling import AlwaysTruth, Progress
from predcnn.training.unrolled import DMVFNLoss, UnrolledLoss
from tests.predictors.recurrent_cases import clip, tiny, truth_up_to

FRAMES_IN, STEPS = 3, 5


@pytest.fixture
def objective(tiny_cfg):
    """``objective("mau")``: the objective of its configuration, at published scale."""
    return lambda model: instantiate(tiny_cfg(f"model={model}", "scale=published").objective)


def errors(predictions: Tensor, frames: Tensor) -> list[Tensor]:
    """Mean squared error of every step."""
    return [((predictions[:, t] - frames[:, t + 1]) ** 2).mean() for t in range(STEPS)]


class Recorder(torch.nn.Module):
    """A predictor that records ``use_truth``."""

    def __init__(self, compat: str | None) -> None:
        super().__init__()
        self.compat = compat

    def unroll(self, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, dict]:
        self.fed = use_truth
        return frames[:, :-1], {}


def share_of_truth(loss: UnrolledLoss, compat: str | None, step: int) -> float:
    """Return the share of truth in the future steps of many sequences."""
    recorder = Recorder(compat)
    loss(recorder, torch.rand(400, 20, 1, 2, 2), 10, Progress(step))
    assert recorder.fed[:, :10].all()
    return recorder.fed[:, 10:].float().mean().item()


def test_mau_never_decays_with_compat(objective):
    loss = objective("mau")
    assert share_of_truth(loss, None, 25_000) == pytest.approx(0.5, abs=0.03)
    assert share_of_truth(loss, "openstl", 25_000) == 1
    assert share_of_truth(loss, "openstl", 49_999) == 1
    assert share_of_truth(loss, "openstl", 50_000) == 0 == share_of_truth(loss, None, 50_000)


def test_other_schedules_decay_with_compat(objective):
    for model in ("convlstm", "predrnn", "e3dlstm"):
        assert share_of_truth(objective(model), "openstl", 25_000) == pytest.approx(0.5, abs=0.03)


def test_schedules_depend_on_the_global_step(objective):
    frames, loss = torch.rand(8, 20, 1, 2, 2), objective("convlstm")
    fed = []
    for loss_of_run in (loss, objective("convlstm")):
        recorder = Recorder(None)
        loss_of_run(recorder, frames, 10, Progress(20_000))
        fed.append(recorder.fed)
    assert torch.equal(*fed)


def test_one_step_errors_of_the_past_are_included(objective):
    model, frames = tiny("convlstm"), clip(2, STEPS + 1)
    parts = objective("convlstm")(model, frames, FRAMES_IN, Progress(50_000))
    predictions, _ = model.unroll(frames, truth_up_to(FRAMES_IN, 2, STEPS))
    torch.testing.assert_close(parts["loss"], sum(errors(predictions, frames)) / STEPS)


def test_e3dlstm_adds_squares_and_absolutes(objective):
    model, frames = tiny("e3dlstm"), clip(2, STEPS + 1)
    parts = objective("e3dlstm")(model, frames, FRAMES_IN, Progress(50_000))
    predictions, _ = model.unroll(frames, truth_up_to(FRAMES_IN, 2, STEPS))
    difference = predictions - frames[:, 1:]
    torch.testing.assert_close(
        parts["loss"], (difference**2).sum() / difference.numel() + difference.abs().mean()
    )


def test_predrnnv2_adds_a_tenth_of_the_decoupling(objective):
    model, frames, added = tiny("predrnnv2"), clip(2, STEPS + 1), []
    for cell in model.cell_list:
        cell.register_forward_hook(lambda cell, given, out: added.append(out[3]))
    parts = objective("predrnnv2")(model, frames, FRAMES_IN, Progress(50_000))
    predictions, _ = model.unroll(frames, truth_up_to(FRAMES_IN, 2, STEPS))
    cosines = []
    for delta_c, delta_m in added[: STEPS * len(model.cell_list)]:
        a, b = model.adapter(delta_c), model.adapter(delta_m)
        for n in range(a.shape[0]):
            for channel in range(a.shape[1]):
                x, y = a[n, channel].flatten(), b[n, channel].flatten()
                cosines.append(abs(x @ y) / (x.norm() * y.norm()))
    decoupling = torch.stack(cosines).mean()
    torch.testing.assert_close(parts["decoupling"], decoupling, rtol=1e-4, atol=1e-6)
    expected = sum(errors(predictions, frames)) / STEPS + 0.1 * decoupling
    torch.testing.assert_close(parts["loss"], expected, rtol=1e-4, atol=1e-6)


def moment_penalty(weight: Tensor) -> float:
    """Σ over input channels of the mean squared distance of 49 filters' moments from one-hots."""
    total = 0.0
    for b in range(weight.shape[1]):
        squares = []
        for n in range(49):
            filter_ = weight[n, b].double()
            for i in range(7):
                for j in range(7):
                    u = (torch.arange(7.0).double() - 3) ** i / math.factorial(i)
                    v = (torch.arange(7.0).double() - 3) ** j / math.factorial(j)
                    moment = float(u @ filter_ @ v)
                    squares.append((moment - float((i, j) == (n // 7, n % 7))) ** 2)
        total += sum(squares) / len(squares)
    return total


def phydnet_total(model: torch.nn.Module, frames: Tensor) -> Tensor:
    """The published total of a training without teacher forcing."""
    predictions, _ = model.unroll(frames, truth_up_to(FRAMES_IN, len(frames), STEPS))
    return sum(errors(predictions, frames)) + moment_penalty(model.phycell.F.conv1.weight.detach())


def test_phydnet_sums_steps_and_moments(objective):
    model, frames = tiny("phydnet"), clip(2, STEPS + 1)
    never = Progress(0, epoch=334)  # 1 - 0.003 * 334 < 0
    total = objective("phydnet")(model, frames, FRAMES_IN, never)["loss"]
    torch.testing.assert_close(total, phydnet_total(model, frames), rtol=1e-4, atol=0)


def test_phydnet_with_compat_minimises_the_distance_to_the_mean_pixel(objective):
    loss, frames = objective("phydnet"), clip(2, STEPS + 1)
    never = Progress(0, epoch=334)
    gradients = []
    for compat in (None, "openstl"):
        torch.manual_seed(1)
        model = tiny("phydnet", compat=compat)
        parts = loss(model, frames, FRAMES_IN, never)
        parts["loss"].backward()
        gradients.append(model.phycell.F.conv1.weight.grad)
    total, future = phydnet_total(model, frames), frames[:, FRAMES_IN:]
    expected = sum((float(total) - y) ** 2 for y in future.flatten().double().tolist())
    assert parts["loss"].item() == pytest.approx(expected / future.numel(), rel=1e-4)
    # the gradient vanishes where the total is the mean pixel, and turns around below it
    scale = 2 * (total.detach() - future.mean())
    torch.testing.assert_close(gradients[1], scale * gradients[0], rtol=1e-3, atol=1e-5)


def test_prednet_with_compat_never_rolls_out(objective):
    loss, frames = objective("prednet"), clip(2, STEPS + 1)
    for compat, same in ((None, False), ("openstl", True)):
        model = tiny("prednet", compat=compat)
        forced, rolled = (loss(model, frames, FRAMES_IN, Progress(s))["loss"] for s in (0, 50_000))
        assert torch.equal(forced, rolled) is same
    one_step, _ = model.unroll(frames, torch.ones(2, STEPS, dtype=torch.bool))
    error = functional.relu(one_step - frames[:, 1:]) + functional.relu(frames[:, 1:] - one_step)
    torch.testing.assert_close(rolled, error.mean() / 2)


SIDE = 48  # the smallest that five pyramid levels take


class AllBlocks(DMVFN):
    """A DMVFN that uses every block: nothing is drawn."""

    def routes(self, first: Tensor, second: Tensor) -> Tensor:
        return first.new_ones(len(first), len(self.stu))


def dmvfn(compat: str | None = None) -> DMVFN:
    torch.manual_seed(1)
    model = AllBlocks((2, 1, SIDE, SIDE), 1, compat=compat, num_features=(8, 8), scale=(2, 1))
    return model.train()


def blurred(x: Tensor) -> Tensor:
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    x = functional.pad(x, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(functional.conv2d(x, row.view(1, 1, 1, 5)), row.view(1, 1, 5, 1))


def pyramid_distance(a: Tensor, b: Tensor) -> Tensor:
    total = torch.zeros(())
    for _ in range(5):
        lost, smaller = [], []
        for x in (a, b):
            small = blurred(x)[..., ::2, ::2]
            up = torch.zeros_like(x)
            up[..., ::2, ::2] = small
            lost.append(x - 4 * blurred(up))
            smaller.append(small)
        total = total + (lost[0] - lost[1]).abs().mean()
        a, b = smaller
    return total


def one_step_loss(model: DMVFN, frames: Tensor, t: int) -> Tensor:
    """The published loss of predicting frame t + 2 from t and t + 1, in two stages."""
    extras = model.unroll(frames[:, t : t + 2].repeat(1, 2, 1, 1, 1)[:, :3], truth_up_to(2, 2, 2))[
        1
    ]
    stages = extras["stages"][:, 1]
    return sum(0.8 ** (1 - i) * pyramid_distance(stages[:, i], frames[:, t + 2]) for i in range(2))


def test_dmvfn_weighs_the_pyramids_of_its_stages(objective):
    model, frames = dmvfn(), torch.rand(2, 5, 1, SIDE, SIDE)
    parts = objective("dmvfn")(model, frames, 2, Progress(0))
    expected = torch.stack([one_step_loss(model, frames, t) for t in range(3)]).mean()
    torch.testing.assert_close(parts["loss"], expected)
    assert set(parts) == {"loss", "stages"}  # no perceptual term without weights


class Batches(torch.utils.data.Dataset):
    """Two batches of two sequences of five frames, always the same."""

    frames = torch.rand(4, 5, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, i: int) -> Tensor:
        return self.frames[i]


def trained_by_lightning(compat: str | None, tmp_path) -> tuple[dict[str, Tensor], int]:
    module = VideoPrediction(
        dmvfn(compat),
        DMVFNLoss(AlwaysTruth()),
        lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
        lambda optimizer, total_steps: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, 2),
    )
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(Batches(), batch_size=2))
    return module.predictor.state_dict(), trainer.global_step


def trained_by_hand(accumulate: bool) -> dict[str, Tensor]:
    """Adam on two batches; published: a step per prediction, zeroed once per batch."""
    model = dmvfn()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for batch, lr in enumerate((1e-3, 0.75e-3)):
        frames = Batches.frames[2 * batch : 2 * batch + 2]
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        for t in range(3):
            loss = one_step_loss(model, frames, t)
            (loss if accumulate else loss / 3).backward()
            if accumulate or t == 2:
                optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("compat", [None, "openstl"])
def test_dmvfn_steps_once_per_batch_or_with_compat_per_prediction(compat, tmp_path):
    trained, steps = trained_by_lightning(compat, tmp_path)
    assert steps == 2
    expected = trained_by_hand(accumulate=compat == "openstl")
    other = trained_by_hand(accumulate=compat is None)
    start = dmvfn().state_dict()
    moved = max((expected[key] - start[key]).abs().max() for key in start)
    off = max((trained[key] - expected[key]).abs().max() for key in start)
    apart = max((trained[key] - other[key]).abs().max() for key in start)
    assert off < 0.02 * moved
    assert apart > 0.3 * moved


def vgg_weights() -> dict[str, Tensor]:
    """Random VGG19 features under torchvision's keys, and a classifier."""
    torch.manual_seed(2)
    blocks = [(64, (0, 2)), (128, (5, 7)), (256, (10, 12, 14, 16)), (512, (19, 21, 23, 25, 28))]
    dim_in, weights = 3, {"classifier.6.bias": torch.zeros(1000)}
    for dim, layers in blocks:
        for n in layers:
            weights[f"features.{n}.weight"] = torch.randn(dim, dim_in, 3, 3) * (9 * dim_in) ** -0.5
            weights[f"features.{n}.bias"] = 0.1 * torch.randn(dim)
            dim_in = dim
    return weights


def perceptual(weights: dict[str, Tensor], pred: Tensor, true: Tensor) -> Tensor:
    """The published term: L1 after the first ReLU of each of VGG19's five resolutions."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    x, y = ((frames.repeat(1, 3, 1, 1) - mean) / std for frames in (pred, true))
    shares, total = {0: 1 / 2.6, 5: 1 / 4.8, 10: 1 / 3.7, 19: 1 / 5.6, 28: 10 / 1.5}, 0.0
    for n in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28):
        if n in shares and n:
            x, y = functional.max_pool2d(x, 2), functional.max_pool2d(y, 2)
        kernel, bias = weights[f"features.{n}.weight"], weights[f"features.{n}.bias"]
        x, y = (functional.relu(functional.conv2d(z, kernel, bias, padding=1)) for z in (x, y))
        if n in shares:
            total = total + 0.1 * shares[n] * (x - y).abs().mean()
    return total


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_dmvfn_perceptual_term_equals_vgg_features(tmp_path, suffix):
    from safetensors.torch import save_file

    weights, path = vgg_weights(), tmp_path / f"vgg19{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    loss = DMVFNLoss(AlwaysTruth(), perceptual_weights=str(path))
    assert not loss.state_dict()  # nothing of VGG in a checkpoint
    model, frames = dmvfn(), torch.rand(1, 4, 1, SIDE, SIDE)
    parts = loss(model, frames, 2, Progress(0))
    predictions, _ = model.unroll(frames, truth_up_to(4, 1, 3))
    expected = perceptual(weights, predictions[:, 1:].flatten(0, 1), frames[:, 2:].flatten(0, 1))
    torch.testing.assert_close(parts["perceptual"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts["loss"], parts["stages"] + 0.5 * parts["perceptual"])
    parts["perceptual"].backward()
    assert model.stu[0].lastconv.weight.grad.abs().max() > 0


def test_wrong_perceptual_weights_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        DMVFNLoss(AlwaysTruth(), perceptual_weights=str(tmp_path / "vgg19.pth"))
    torch.save({"features.0.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "vgg19.pth")
    with pytest.raises(ValueError, match=r"(?s)not torchvision's VGG19, features.*0\.weight"):
        DMVFNLoss(AlwaysTruth(), perceptual_weights=str(tmp_path / "vgg19.pth"))


def test_unknown_terms_raise():
    with pytest.raises(ValueError, match=r"no extra term .*'moment'.*moments"):
        UnrolledLoss({"mse": 1.0}, AlwaysTruth(), extras={"moment": 1.0})
    with pytest.raises(ValueError, match="at least one term"):
        UnrolledLoss({}, AlwaysTruth())


class Given(torch.nn.Module):
    """A predictor of given frames (B, T - 1, C, H, W) and stages of them."""

    def __init__(self, predictions: Tensor, compat: str | None) -> None:
        super().__init__()
        self.predictions, self.compat = torch.nn.Parameter(predictions), compat
        self.stages = torch.nn.Parameter(torch.stack([1 - predictions, predictions], dim=2))

    def unroll(self, frames: Tensor, use_truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        assert frames.isfinite().all()
        errors = (self.predictions - frames[:, 1:]).abs().mean((2, 3, 4))[..., None]
        extras = {"layer_errors": errors, "stages": self.stages, "moments": torch.zeros(())}
        return self.predictions, extras


@pytest.mark.parametrize(
    ("name", "compat"),
    [("convlstm", None), ("prednet", None), ("dmvfn", None), ("phydnet", None),
     ("phydnet", "openstl")],
)  # fmt: skip
def test_missing_pixels_have_neither_error_nor_gradient(objective, name, compat):
    loss = objective(name)
    loss.missing = True
    predictions, frames = torch.rand(2, 4, 1, SIDE, SIDE), torch.rand(2, 5, 1, SIDE, SIDE)
    gone = torch.rand_like(predictions) < 0.3
    frames[:, 1:][gone] = torch.nan
    found = []
    for values in (predictions, predictions.masked_fill(gone, 7.0)):
        model = Given(values, compat)
        found.append(loss(model, frames, 2, Progress(0))["loss"])
        found[-1].backward()
        for part, where in ((model.predictions, gone), (model.stages, gone[:, :, None])):
            if part.grad is not None:
                assert part.grad.masked_fill(~where, 0).abs().sum() == 0
                assert part.grad.abs().sum() > 0
    torch.testing.assert_close(*found)
