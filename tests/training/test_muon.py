"""Muon compared with torch's Muon and AdamW, and with itself after a resume."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import predcnn
from predcnn.training.muon import Muon, is_matrix, orthogonalise


@pytest.mark.parametrize("size", [(3, 16, 90), (2, 90, 16), (1, 32, 32)])
def test_singular_values_become_about_one(size: tuple[int, ...]) -> None:
    matrices = torch.randn(size, generator=torch.Generator().manual_seed(0))
    matrices[:, :, 0] *= 20
    found = torch.linalg.svdvals(orthogonalise(matrices))
    assert found.min() > 0.5
    assert found.max() < 1.3
    assert torch.linalg.svdvals(matrices).max() > 10


def test_matrices_of_a_batch_are_independent() -> None:
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(1))
    together = orthogonalise(matrices * torch.tensor([1.0, 1e-3, 1e3])[:, None, None])
    for alone, one in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalise(alone[None])[0], one, atol=1e-5, rtol=1e-4)
    assert not orthogonalise(torch.zeros(1, 8, 20)).any()


def _gradients(parameter: nn.Parameter, steps: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(parameter.shape, generator=generator) for _ in range(steps)]


def test_matrices_move_as_in_torchs_muon() -> None:
    """torch computes in bfloat16: equal to a few percent of the distance."""
    start = torch.randn(24, 40, generator=torch.Generator().manual_seed(3))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    steps = [
        Muon([ours], lr=0.01, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for gradient in _gradients(ours, 5):
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    distance = (theirs - start).norm()
    assert distance > 0.05
    assert (ours - theirs).norm() < 0.03 * distance


def test_a_kernel_is_a_matrix_in_any_memory_layout() -> None:
    kernel = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(4))
    plain = nn.Parameter(kernel.clone())
    last = nn.Parameter(kernel.clone(memory_format=torch.channels_last))
    flat = nn.Parameter(kernel.flatten(1).clone())
    for parameter in (plain, last, flat):
        optimizer = Muon([parameter], lr=0.1)
        for gradient in _gradients(plain, 3):
            parameter.grad = gradient.reshape(parameter.shape)
            optimizer.step()
    torch.testing.assert_close(last, plain)
    torch.testing.assert_close(flat.view_as(plain), plain)
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(7,), (), (12, 1, 5, 5), (1, 12, 3, 3), (3, 40)])
def test_other_parameters_move_as_in_adamw(size: tuple[int, ...]) -> None:
    start = torch.randn(size, generator=torch.Generator().manual_seed(5))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    assert not is_matrix(ours)
    options = {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.1}
    matrix = nn.Parameter(torch.ones(4, 4))
    steps = [Muon([ours, matrix], **options), torch.optim.AdamW([theirs], **options)]
    for gradient in _gradients(ours, 4):
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert (theirs - start).abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs)


def _train(net: nn.Module, optimizer: Muon, steps: range) -> list[float]:
    losses = []
    for step in steps:
        torch.manual_seed(step)  # stochastic depth
        generator = torch.Generator().manual_seed(step % 4)
        frames = torch.rand(2, 4, 1, 16, 16, generator=generator).cumsum(1) / 4
        optimizer.zero_grad()
        loss = functional.mse_loss(net(frames[:, :2]), frames[:, 2:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _net() -> nn.Module:
    torch.manual_seed(6)
    options = {"hid_S": 4, "hid_T": 16, "N_S": 2, "N_T": 2}
    return predcnn.create_predictor("simvp", in_shape=(2, 1, 16, 16), frames_out=2, **options)


def test_a_predictor_learns_and_resumes() -> None:
    uninterrupted, first = _net(), _net()
    losses = _train(uninterrupted, Muon(uninterrupted.parameters(), lr=0.01), range(30))
    assert losses[-1] < losses[0] / 3

    optimizer = Muon(first.parameters(), lr=0.01)
    _train(first, optimizer, range(12))
    second = copy.deepcopy(first)
    resumed = Muon(second.parameters(), lr=0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert _train(second, resumed, range(12, 30)) == losses[12:]


def test_parameters_without_gradient_stay_and_momentum_cycles() -> None:
    used, unused = nn.Parameter(torch.ones(8, 8)), nn.Parameter(torch.ones(8, 8))
    optimizer = Muon([{"params": [used]}, {"params": [unused], "lr": 1.0}], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=10)
    assert [group["betas"] for group in optimizer.param_groups] == [(0.95, 0.95)] * 2

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 64
    schedule.step()
    assert optimizer.param_groups[0]["betas"][0] < 0.95
    assert (unused == 1).all()
    assert (used != 1).all()


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"weight_decay": -0.1}])
def test_values_out_of_range_raise(wrong: dict) -> None:
    with pytest.raises(ValueError, match="at least 0 and betas in"):
        Muon([nn.Parameter(torch.ones(4, 4))], **wrong)


def test_no_matrix_raises() -> None:
    with pytest.raises(ValueError, match=r"no matrix among the 2 parameters.*optimizer=adam"):
        Muon([nn.Parameter(torch.ones(16)), nn.Parameter(torch.ones(16, 1, 3, 3))])
