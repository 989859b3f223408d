"""The baselines: copy_last and mean_frame."""

import pytest
import torch

import predcnn


def test_copy_last():
    predictor = predcnn.create_predictor("copy_last", in_shape=(3, 2, 5, 4), frames_out=6)
    past = torch.rand(2, 3, 2, 5, 4)
    future = predictor(past)
    assert future.shape == (2, 6, 2, 5, 4)
    assert (future == past[:, -1:]).all()
    assert not list(predictor.parameters())
    assert (predictor.predict(torch.rand(1, 3, 2, 9, 9), 20).std(dim=1) == 0).all()


def make():
    return predcnn.create_predictor("mean_frame", in_shape=(3, 1, 2, 2), frames_out=2)


def test_mean_frame_of_floats_and_bytes():
    clips = torch.rand(5, 6, 1, 2, 2)
    predictor = make().fit(clips.split(2))
    mean = clips.flatten(0, 1).mean(0)
    torch.testing.assert_close(predictor.mean, mean)
    future = predictor(torch.rand(4, 3, 1, 2, 2))
    assert future.shape == (4, 2, 1, 2, 2)
    torch.testing.assert_close(future, mean.expand(4, 2, 1, 2, 2))
    bytes_ = (clips * 255).byte()
    torch.testing.assert_close(
        make().fit([bytes_]).mean, bytes_.float().flatten(0, 1).mean(0) / 255
    )


def test_mean_frame_is_saved_in_the_state():
    predictor, other = make().fit([torch.rand(3, 1, 2, 2)]), make()
    other.load_state_dict(predictor.state_dict())
    past = torch.rand(1, 3, 1, 2, 2)
    assert torch.equal(other(past), predictor(past))
    assert other.predict(torch.rand(1, 3, 1, 5, 3)).shape == (1, 2, 1, 5, 3)


def test_mean_frame_refuses_wrong_input():
    with pytest.raises(ValueError, match="call fit"):
        make()(torch.rand(1, 3, 1, 2, 2))
    with pytest.raises(ValueError, match="no frames"):
        make().fit([])
    with pytest.raises(ValueError, match="frames are"):
        make().fit([torch.rand(3, 1, 4, 2)])
    with pytest.raises(ValueError, match=r"built for frames \(H, W\) = \(2, 2\), not \(4, 2\)"):
        make().fit([torch.rand(3, 1, 2, 2)])(torch.rand(1, 3, 1, 4, 2))
