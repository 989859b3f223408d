"""Losses compared with the published code and with loops."""

import pytest
import torch

from predcnn.pretraining import masks
from tests.pretraining.published import reference


def test_simmim_loss_equals_reference_values():
    data, _ = reference("simmim_head")
    loss = masks.masked_l1(data["x_rec"], data["x"], data["mask"].bool())
    torch.testing.assert_close(loss, data["loss"], rtol=1e-5, atol=0)


def test_frequency_loss_and_gradient_equal_reference_values():
    data, _ = reference("focal_freq_loss_0")
    pred = data["pred"].requires_grad_()
    loss = masks.frequency_loss(pred, data["target"])
    loss.backward()
    torch.testing.assert_close(loss, data["loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(pred.grad, data["grad_pred"], rtol=1e-5, atol=1e-8)


def test_frequency_loss_of_equal_images_is_zero_with_a_gradient():
    image = torch.rand(2, 3, 8, 8, requires_grad=True)
    loss = masks.frequency_loss(image, image.detach())
    loss.backward()
    assert loss == 0
    assert image.grad.isfinite().all()


def test_cell_statistics_equal_a_loop():
    images = torch.randn(2, 3, 8, 12)
    mean, scale = masks.cell_statistics(images, 4)
    for b, i, j in [(0, 0, 0), (1, 1, 2), (0, 1, 1)]:
        cell = images[b, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
        assert mean[b, 0, 4 * i + 3, 4 * j] == pytest.approx(cell.mean().item(), abs=1e-6)
        assert scale[b, 0, 4 * i, 4 * j + 3] == pytest.approx(
            (cell.var() + 1e-6).sqrt().item(), abs=1e-6
        )


def test_only_hidden_pixels_count():
    mask = torch.tensor([[[True, False], [False, False]]])
    target, pred = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    pred[..., :2, :2] = 2.0
    pred[..., 2:, :] = 100.0
    assert masks.masked_l1(pred, target, mask) == 2.0
    assert masks.masked_mse(pred, target, mask) == 4.0
