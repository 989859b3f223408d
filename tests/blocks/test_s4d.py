"""The S4D block reads the map in raster order, from both ends by default."""

import torch

from predcnn.blocks.s4d import S4DBlock


def reached(block, row, column):
    x = torch.randn(1, 8, 4, 5, requires_grad=True)
    (grad,) = torch.autograd.grad(block(x)[0, :, row, column].sum(), x)
    return grad.abs().sum(1)[0].flatten() > 0


def test_default_sees_the_whole_map():
    assert reached(S4DBlock(8), 2, 1).all()


def test_one_direction_sees_what_comes_before():
    seen = reached(S4DBlock(8, bidirectional=False, mlp_ratio=0), 2, 1)
    assert seen[:12].all()
    # the FFT leaks rounding errors of a millionth backwards, no more
    block = S4DBlock(8, bidirectional=False, mlp_ratio=0).double()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    later = x.clone()
    later[:, :, 3] += 1.0
    assert torch.allclose(block(x)[:, :, :3], block(later)[:, :, :3], atol=1e-12)


def test_a_constant_map_is_not_changed_by_its_position_in_the_batch():
    block = S4DBlock(8, state=16).eval()
    x = torch.randn(3, 8, 3, 7)
    assert torch.allclose(block(x)[1:], block(x[1:]), atol=1e-6)
