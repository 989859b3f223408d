"""The batched SSIM against scikit-image, frame by frame."""

import numpy as np
import pytest
import torch

from predcnn.metrics import ssim as ssim_module
from predcnn.metrics import structural_similarity
from tests.reference.frame_metrics import skimage_ssim


def pairs(kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = {
        "noise": rng.random(shape),
        "black": np.zeros(shape),
        "bright": np.full(shape, 0.93),
        "sparse": (rng.random(shape) > 0.97) * rng.random(shape),
        "ramp": np.broadcast_to(np.linspace(0, 1, shape[-1]), shape),
    }[kind]
    x = np.clip(y + 0.05 * rng.standard_normal(shape), 0, 1)
    x[0] = y[0]
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("data_range", [1.0, 2.0])
@pytest.mark.parametrize("kind", ["noise", "black", "bright", "sparse", "ramp"])
def test_equals_skimage_on_every_frame(kind, data_range):
    x, y = pairs(kind, (6, 1, 24, 24))
    ours = structural_similarity(torch.from_numpy(x), torch.from_numpy(y), data_range=data_range)
    np.testing.assert_allclose(ours.numpy(), skimage_ssim(x, y, data_range), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("shape", [(5, 3, 7, 7), (4, 1, 7, 31), (3, 2, 40, 9), (2, 3, 17, 64)])
def test_equals_skimage_at_every_size_and_channel_count(shape):
    x, y = pairs("noise", shape)
    ours = structural_similarity(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(ours.numpy(), skimage_ssim(x, y, 1.0), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("no_kernels")
def test_results_do_not_depend_on_chunks(monkeypatch):
    x, y = (torch.from_numpy(v) for v in pairs("sparse", (11, 1, 16, 20)))
    whole = structural_similarity(x, y)
    monkeypatch.setitem(ssim_module._CHUNK, "cpu", 3 * 16 * 20)
    torch.testing.assert_close(structural_similarity(x, y), whole, rtol=0, atol=1e-14)


def test_leading_axes_are_kept():
    x, y = torch.rand(2, 5, 3, 16, 16), torch.rand(2, 5, 3, 16, 16)
    ours = structural_similarity(x, y)
    assert ours.shape == (2, 5)
    torch.testing.assert_close(ours[1, 4], structural_similarity(x[1, 4], y[1, 4]))


def test_gradient_is_right():
    x = torch.rand(2, 1, 9, 8, dtype=torch.float64, requires_grad=True)
    y = torch.rand(2, 1, 9, 8, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: structural_similarity(x, y), (x,))


def test_small_frames_are_refused():
    with pytest.raises(ValueError, match="at least 7x7 pixels, not 6x9"):
        structural_similarity(torch.rand(1, 1, 6, 9), torch.rand(1, 1, 6, 9))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="must have one shape"):
        structural_similarity(torch.rand(1, 1, 8, 8), torch.rand(1, 3, 8, 8))
