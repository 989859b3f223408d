"""Attention against its definition, windows against loops, the large kernel's receptive field."""

import pytest
import torch

from predcnn.blocks.gsta import SelfGatedLargeKernel
from predcnn.ops.attention import MapAttention, MultiHeadAttention, sincos_position_2d
from predcnn.ops.conv import ConvNormAct
from predcnn.ops.spatial_attention import (
    GatedSpatialAttention,
    LargeKernelAttention,
    LargeKernelConv,
)
from predcnn.ops.windows import join, partition, relative_position_index, separated


@torch.no_grad()
def test_attention_matches_its_definition():
    attention, x = MultiHeadAttention(12, heads=3), torch.randn(2, 5, 12)
    bias = torch.randn(3, 5, 5)
    query, key, value = attention.qkv(x).chunk(3, dim=-1)
    heads = []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        logits = query[..., part] @ key[..., part].transpose(1, 2) / 4**0.5 + bias[h]
        heads.append(logits.softmax(-1) @ value[..., part])
    expected = attention.proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x, bias), expected)
    with pytest.raises(ValueError, match="5 heads"):
        MultiHeadAttention(12, heads=5)


@torch.no_grad()
def test_map_attention_treats_pixels_as_tokens():
    attention, x = MapAttention(8, heads=2), torch.randn(2, 8, 3, 4)
    tokens = MultiHeadAttention.forward(attention, x.flatten(2).transpose(1, 2))
    torch.testing.assert_close(attention(x).flatten(2), tokens.transpose(1, 2))


def test_windows_against_loops():
    x = torch.arange(2 * 4 * 6 * 3.0).view(2, 4, 6, 3)
    windows = partition(x, 2)
    assert windows.shape == (12, 4, 3)
    expected = [
        x[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(4, 3)
        for b in range(2)
        for i in range(2)
        for j in range(3)
    ]
    assert torch.equal(windows, torch.stack(expected))
    assert torch.equal(join(windows, 2, 4, 6), x)


def test_relative_positions():
    index = relative_position_index(3)
    for first in range(9):
        for second in range(9):
            down, right = first // 3 - second // 3, first % 3 - second % 3
            assert index[first, second] == (down + 2) * 5 + right + 2


def test_separated_pairs_of_shifted_windows():
    shift, size = 1, (6, 4)
    seam = separated(size, size, 2, shift, torch.device("cpu"), seam=True)
    padding = separated(size, (5, 4), 2, shift, torch.device("cpu"), seam=False)
    both = separated(size, (5, 4), 2, shift, torch.device("cpu"), seam=True)
    assert torch.equal(both, seam | padding)
    rows = torch.arange(6).roll(-shift)
    columns = torch.arange(4).roll(-shift)
    for window in range(6):
        i, j = divmod(window, 2)
        pixels = [
            (rows[2 * i + a].item(), columns[2 * j + b].item()) for a in (0, 1) for b in (0, 1)
        ]
        for p, (y1, x1) in enumerate(pixels):
            for q, (y2, x2) in enumerate(pixels):
                far = abs(y1 - y2) > 1 or abs(x1 - x2) > 1
                assert bool(seam[window, p, q]) == far
                assert bool(padding[window, p, q]) == ((y1 >= 5) != (y2 >= 5))


def test_sine_positions_differ_between_pixels():
    position = sincos_position_2d(16, 5, 7, device=torch.device("cpu"))
    assert position.shape == (35, 16)
    assert torch.pdist(position).min() > 0.1
    grid = position.view(5, 7, 16)
    assert torch.equal(grid[2, 0, :8], grid[2, 6, :8])
    assert torch.equal(grid[0, 3, 8:], grid[4, 3, 8:])
    with pytest.raises(ValueError, match="divisible by 4"):
        sincos_position_2d(6, 2, 2, device=torch.device("cpu"))


def test_large_kernel_has_a_receptive_field_of_23_pixels():
    conv = LargeKernelConv(2)
    x = torch.zeros(1, 2, 31, 31, requires_grad=True)
    conv(x)[0, :, 15, 15].sum().backward()
    seen = x.grad[0].abs().sum(0).nonzero()
    assert seen.min(0).values.tolist() == [15 - 11, 15 - 11]
    assert seen.max(0).values.tolist() == [15 + 11, 15 + 11]


@torch.no_grad()
def test_gates():
    x = torch.randn(1, 4, 9, 9)
    attention = LargeKernelAttention(4)
    torch.testing.assert_close(attention(x), x * LargeKernelConv.forward(attention, x))
    gated = SelfGatedLargeKernel(4)
    value, gate = LargeKernelConv.forward(gated, x).chunk(2, 1)
    torch.testing.assert_close(gated(x), value * torch.sigmoid(gate))
    spatial = GatedSpatialAttention(4, torch.nn.Identity(), shortcut=False)
    inner = torch.nn.functional.gelu(spatial.proj_in(x))
    torch.testing.assert_close(spatial(x), spatial.proj_out(inner))


@pytest.mark.parametrize(
    ("options", "size"), [({}, (6, 8)), ({"down": True}, (3, 4)), ({"up": True}, (12, 16))]
)
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_conv_norm_act_sizes(options, size, kernel_size):
    y = ConvNormAct(3, 4, kernel_size, **options)(torch.randn(2, 3, 6, 8))
    assert y.shape == (2, 4, *size)
