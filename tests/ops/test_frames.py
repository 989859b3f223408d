"""Frames move into the channels and back in both memory formats."""

import pytest
import torch

from predcnn.ops.frames import join_frames, split_frames


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(6, 4, 3, 5), (6, 2, 3, 5), (6, 4, 1, 1)])
def test_order_and_layout_are_kept(shape, memory_format):
    x = torch.randn(shape).to(memory_format=memory_format).requires_grad_()
    joined = join_frames(x, 2)
    assert torch.equal(joined, x.reshape(2, 3 * shape[1], *shape[2:]))
    if shape[1] > 1:  # one channel has both formats
        assert joined.is_contiguous(memory_format=memory_format)
    split = split_frames(joined, 3)
    assert torch.equal(split, x)
    assert split.is_contiguous(memory_format=memory_format)
    (grad,) = torch.autograd.grad(split.square().sum(), x)
    assert torch.equal(grad, 2 * x)
