"""Parts of the recurrent predictors against reference implementations of their equations."""

from math import factorial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from predcnn.predictors.e3dlstm import WindowConv
from predcnn.predictors.levels import PatchExpanding, PatchMerging
from predcnn.predictors.phydnet import moment_loss, moments
from predcnn.predictors.predrnnv2 import decoupling
from predcnn.predictors.unrolling import from_patches, to_patches
from tests.predictors.recurrent_cases import clip, tiny, truth_up_to


def test_patches_put_the_channel_last() -> None:
    frames = torch.rand(2, 5, 3, 8, 12)
    patches = to_patches(frames, 4)
    assert patches.shape == (2, 5, 48, 2, 3)
    for row, column, channel in ((0, 0, 0), (1, 2, 0), (3, 3, 2), (2, 0, 1)):
        one = patches[:, :, (row * 4 + column) * 3 + channel]
        assert torch.equal(one, frames[:, :, channel, row::4, column::4])
    assert torch.equal(from_patches(patches, 4), frames)


def test_window_convolution_is_the_3d_convolution_repeated() -> None:
    layer, x = WindowConv(3, 5, 5), torch.rand(2, 3, 2, 6, 7)
    full = functional.conv3d(x, layer.conv3d.weight, padding=(0, 2, 2))
    full = functional.interpolate(full, size=x.shape[2:], mode="nearest")
    torch.testing.assert_close(layer(x).expand(-1, -1, 2, -1, -1), full)


def test_decoupling_is_a_mean_cosine() -> None:
    a, b = torch.randn(6, 4, 5, 5), torch.randn(6, 4, 5, 5)
    expected = sum(
        abs(float((x * y).sum() / (x.norm() * y.norm())))
        for x, y in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)
    )
    assert decoupling(a, b).item() == pytest.approx(expected / 24, rel=1e-5)
    assert decoupling(a, -3 * a).item() == pytest.approx(1.0)
    left, right = a.clone(), a.clone()
    left[..., :3], right[..., 3:] = 0, 0
    assert decoupling(left, right).item() == 0


def test_predrnnv2_decouples_the_increments_of_all_steps() -> None:
    model = tiny("predrnnv2")
    frames, use_truth = clip(2, 5), truth_up_to(3, 2, 4)
    _, extras = model.unroll(frames, use_truth)
    seen = []
    handles = [
        cell.register_forward_hook(lambda _, __, out: seen.append(out[3]))
        for cell in model.cell_list
    ]
    model.unroll(frames, use_truth)
    for handle in handles:
        handle.remove()
    assert len(seen) == 4 * len(model.cell_list)
    terms = [decoupling(model.adapter(c), model.adapter(m)) for c, m in seen]
    torch.testing.assert_close(extras["decoupling"], torch.stack(terms).mean())


def test_moments_are_derivatives() -> None:
    kernel = torch.rand(7, 7, dtype=torch.double)
    expected = torch.zeros(7, 7, dtype=torch.double)
    for i in range(7):
        for j in range(7):
            for u in range(7):
                for v in range(7):
                    weight = (u - 3.0) ** i * (v - 3.0) ** j / factorial(i) / factorial(j)
                    expected[i, j] += weight * kernel[u, v]
    torch.testing.assert_close(moments(kernel), expected)
    across = torch.zeros(7, 7)
    across[3, 2], across[3, 4] = -0.5, 0.5  # the central difference
    first = moments(across)
    assert first[0, 1] == 1
    assert first[0, 0] == first[1, 0] == first[0, 2] == 0


def test_moment_loss_is_zero_at_pure_derivatives() -> None:
    k = 7
    at = torch.arange(k, dtype=torch.double) - k // 2
    powers = torch.stack([at**i / factorial(i) for i in range(k)])
    inverse = torch.linalg.inv(powers)
    pure = torch.einsum("ui,vj->ijuv", inverse, inverse).reshape(k * k, 1, k, k)
    assert moment_loss(pure.expand(-1, 3, -1, -1)).item() < 1e-16
    weight = torch.rand(k * k, 2, k, k, dtype=torch.double)
    expected = 0.0
    for channel in range(2):
        error = moments(weight[:, channel]) - torch.eye(k * k).double().reshape(-1, k, k)
        expected += error.square().mean().item()
    assert moment_loss(weight).item() == pytest.approx(expected)
    model = tiny("phydnet")
    _, extras = model.unroll(clip(1, 3), truth_up_to(2, 1, 2))
    torch.testing.assert_close(extras["moments"], moment_loss(model.phycell.F.conv1.weight))


def test_swin_resampling_orders_pixels_as_in_the_reference_code() -> None:
    x = torch.rand(1, 4, 6, 8)
    merging = PatchMerging(8)
    parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
    expected = merging.reduction(merging.norm(torch.cat(parts, dim=-1)))
    torch.testing.assert_close(merging(x), expected)
    expanding = PatchExpanding(8)
    wide = expanding.expand(x)
    grown = expanding(x)
    for i in (0, 1):
        for j in (0, 1):
            part = wide[..., 4 * (2 * i + j) : 4 * (2 * i + j + 1)]
            torch.testing.assert_close(grown[:, i::2, j::2], expanding.norm(part))


def test_swinlstm_drops_paths_as_in_the_reference_code() -> None:
    model = tiny("swinlstm", depths_downsample=(2, 2), depths_upsample=(2, 2))
    rates = [[b.drop_path.drop_prob for b in cell.blocks] for cell in (*model.down, *model.up)]
    expected = [[0, 1 / 30], [2 / 30, 0.1], [0.1, 2 / 30], [1 / 30, 0]]
    for given, wanted in zip(rates, expected, strict=True):
        assert given == pytest.approx(wanted)


def plain_prednet(model: torch.nn.Module, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Algorithm 1 as it stands: predictions of all frames, and their errors per layer."""
    layers, (B, _, _, H, W) = len(model.stack), frames.shape
    sizes = [(H // 2**k, W // 2**k) for k in range(layers)]
    R = [torch.zeros(B, n, *s) for n, s in zip(model.r_stack, sizes, strict=True)]
    cell = [torch.zeros_like(r) for r in R]
    E = [torch.zeros(B, 2 * n, *s) for n, s in zip(model.stack, sizes, strict=True)]
    predictions, errors = [], []
    for t in range(frames.shape[1]):
        for k in reversed(range(layers)):
            x = torch.cat([R[k], E[k]], 1)
            if k < layers - 1:
                up = R[k + 1].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
                x = torch.cat([x, up], 1)
            i, f, o = ((0.2 * getattr(model, g)[k](x) + 0.5).clamp(0, 1) for g in "ifo")
            cell[k] = f * cell[k] + i * torch.tanh(model.c[k](x))
            R[k] = o * torch.tanh(cell[k])
        A = frames[:, t]
        for k in range(layers):
            ahat = model.Ahat[k](R[k]).relu()
            if k == 0:
                ahat = ahat.clamp(max=1)
                predictions.append(ahat)
            E[k] = torch.cat([(ahat - A).relu(), (A - ahat).relu()], 1)
            if k < layers - 1:
                A = functional.max_pool2d(model.A[k](E[k]).relu(), 2)
        errors.append(torch.stack([e.flatten(1).mean(1) for e in E], 1))
    return predictions, errors


@torch.no_grad()
def test_prednet_equals_its_algorithm() -> None:
    model = tiny("prednet")
    for parameter in model.parameters():
        parameter.mul_(3)
        if parameter.ndim == 1:
            parameter.uniform_(-0.2, 0.6)
    frames = clip(2, 5)
    expected, expected_errors = plain_prednet(model, frames)
    predictions, extras = model.unroll(frames, truth_up_to(4, 2, 4))
    torch.testing.assert_close(predictions, torch.stack(expected[1:], 1))
    assert predictions.std() > 0.01
    torch.testing.assert_close(extras["layer_errors"], torch.stack(expected_errors[1:], 1))
