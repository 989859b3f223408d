"""Fields of networks with known results; areas compared with RepLKNet's script."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

import predcnn
from predcnn.analysis import (
    PredictorSubject,
    effective_receptive_field,
    high_contribution_area,
)
from predcnn.analysis.erf import decades, frame_shares, log_contribution, spread
from tests.analysis.subjects import classifier, clips, convolutions, simvp


def test_a_stack_of_ones_has_the_field_of_its_kernels():
    box = torch.ones(1, 1, 3, 3)
    expected = conv2d(conv2d(box, box, padding=2), box, padding=2)[0, 0]  # 7x7
    field = effective_receptive_field(convolutions(), clips(3, channels=1, size=15))
    assert field.shape == (1, 1, 15, 15)
    torch.testing.assert_close(field[0, 0, 4:11, 4:11], expected)
    assert field.sum() == pytest.approx(27 * 27)


def test_another_pixel_moves_the_field_and_one_outside_raises():
    x = clips(1, channels=1, size=15)
    centre = effective_receptive_field(convolutions(), x)
    moved = effective_receptive_field(convolutions(), x, pixel=(5, 9))
    torch.testing.assert_close(moved.roll((2, -2), (-2, -1)), centre)
    with pytest.raises(ValueError, match="outside a map of 15x15"):
        effective_receptive_field(convolutions(), x, pixel=(15, 0))


def test_fields_are_averaged_over_images():
    subject, x = classifier(), clips(2, size=64)
    single = torch.stack([effective_receptive_field(subject, image[None]) for image in x])
    torch.testing.assert_close(effective_receptive_field(subject, x), single.mean(0))


def test_copying_the_last_frame_depends_on_one_pixel_of_it():
    net = predcnn.create_predictor("copy_last", in_shape=(3, 1, 9, 9), frames_out=4)
    field = effective_receptive_field(
        PredictorSubject(net, "copy"), clips(2, frames=3, channels=1, size=9)
    )
    expected = torch.zeros(3, 3, 9, 9)
    expected[:, -1, 4, 4] = 1
    torch.testing.assert_close(field, expected)
    assert frame_shares(field).tolist() == [[0, 0, 1]] * 3
    assert spread(field[0].sum(0)) == 0
    assert high_contribution_area(field[0].sum(0), (0.99,)) == {0.99: 1 / 81}


def test_a_predictor_that_ignores_its_input_raises():
    net = predcnn.create_predictor("mean_frame", in_shape=(3, 1, 8, 8)).fit(
        [torch.rand(2, 1, 8, 8)]
    )
    with pytest.raises(ValueError, match="mean: an output does not depend on the input"):
        effective_receptive_field(PredictorSubject(net, "mean"), clips(1, 3, 1, 8))


def test_a_simvp_uses_every_past_frame_at_every_lead_time():
    subject = simvp("van")
    assert subject.outputs == ("+1", "+2", "+4")
    field = effective_receptive_field(subject, clips(1, 4, 1, 16))
    assert field.shape == (3, 4, 16, 16)
    shares = frame_shares(field)
    assert (shares > 0).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(3))


def test_areas_equal_the_published_script():
    field = np.random.default_rng(1).random((33, 33)) ** 4

    def published(threshold):  # analyze_erf.py of RepLKNet, which begins at 3x3
        data = np.log10(field + 1)
        data /= data.max()
        for i in range(1, 16):
            inner = data[16 - i : 17 + i, 16 - i : 17 + i]
            if inner.sum() / data.sum() > threshold:
                return (2 * i + 1) / 33 * (2 * i + 1) / 33
        return None

    areas = high_contribution_area(log_contribution(torch.from_numpy(field)))
    assert areas.pop(0.99) == 1  # the script's squares do not reach the border
    assert areas == {t: pytest.approx(published(t)) for t in (0.2, 0.3, 0.5)}
    assert high_contribution_area(torch.ones(8, 8)[:, :4], (0.5, 0.9)) == {0.5: None, 0.9: None}


def test_decades_span_three_powers_of_ten():
    field = torch.tensor([[1.0, 1e-1, 1e-3, 1e-9]])
    torch.testing.assert_close(decades(5 * field), torch.tensor([[1.0, 2 / 3, 0.0, 0.0]]))
