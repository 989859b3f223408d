"""What all predictors share: recorded configuration, checks, predict, tiles."""

import importlib.metadata
import json
import warnings

import numpy as np
import pytest
import torch

import predcnn
from predcnn.predictors.protocol import Predictor, pad_frames, pad_to_multiple, tiled


class Fading(Predictor):
    """Every future frame is half as bright as the one before; a batch norm watches the mode."""

    def __init__(self, in_shape, frames_out=None, *, compat=None, rate=0.5, names=("a",)):
        super().__init__(in_shape, frames_out, compat=compat)
        self.norm = torch.nn.BatchNorm1d(1)
        self.rate = rate
        self.modes = []

    def forward(self, past):
        self.check_past(past)
        self.modes.append(self.norm.training)
        steps = torch.arange(1, self.frames_out + 1).view(1, -1, 1, 1, 1)
        return past[:, -1:] * self.rate**steps


class FadingSlower(Fading):
    def __init__(self, in_shape, frames_out=None, *, compat=None, power=2):
        super().__init__(in_shape, frames_out, compat=compat, rate=0.5 ** (1 / power))


class OneSize(Predictor):
    """Adds a fixed image, so it accepts one frame size only."""

    needs_resolution = True

    def __init__(self, in_shape, frames_out=None, *, compat=None):
        super().__init__(in_shape, frames_out, compat=compat)
        self.register_buffer("image", torch.zeros(self.in_shape[1:]))

    def forward(self, past):
        assert past.shape[2:] == self.image.shape
        return past[:, -1:].repeat(1, self.frames_out, 1, 1, 1) + self.image


def test_configuration_is_recorded_and_accepted_back():
    predictor = Fading([4, 1, 8, 8], names=["x", "y"])
    assert predictor.config == {
        "name": f"{__name__}.Fading",
        "in_shape": (4, 1, 8, 8),
        "frames_out": 4,
        "compat": None,
        "rate": 0.5,
        "names": ("x", "y"),
    }
    config = json.loads(json.dumps(predictor.config))
    again = predcnn.create_predictor(config.pop("name"), **config)
    assert again.config == predictor.config
    assert FadingSlower((4, 1, 8, 8), 2).config == {
        "name": f"{__name__}.FadingSlower",
        "in_shape": (4, 1, 8, 8),
        "frames_out": 2,
        "compat": None,
        "power": 2,
    }
    with pytest.raises(TypeError, match="plain data"):
        Fading((4, 1, 8, 8), names=torch.nn.GELU())


@pytest.mark.parametrize("name", ["simvp", "copy_last", "mean_frame"])
def test_configurations_rebuild_registered_predictors(name):
    options = {"translator": ["van", "vit"], "hid_S": 8, "hid_T": 16, "N_T": 3, "N_S": 2}
    options = options if name == "simvp" else {}
    config = predcnn.create_predictor(name, in_shape=(2, 1, 8, 8), frames_out=3, **options).config
    assert config["name"] == name
    given = dict(config)
    assert predcnn.create_predictor(given.pop("name"), **given).config == config


def test_predict_restores_modes():
    predictor = Fading((3, 1, 4, 4)).train()
    predictor.norm.eval()
    past = torch.ones(2, 3, 1, 4, 4, requires_grad=True)
    future = predictor.predict(past)
    assert not future.requires_grad
    assert predictor.training
    assert not predictor.norm.training
    predictor.norm.train()
    predictor.predict(past)
    assert predictor.norm.training
    assert predictor.modes == [False, False]
    with pytest.raises(ValueError, match="not 3-D"):
        predictor.predict(past[0, 0])
    assert predictor.norm.training


@pytest.mark.parametrize("horizon", [1, 3, 4, 11])
@pytest.mark.parametrize("frames_out", [1, 3, 5])
def test_any_horizon(horizon, frames_out):
    future = Fading((3, 1, 4, 4), frames_out).predict(torch.ones(2, 3, 1, 4, 4), horizon)
    expected = 0.5 ** torch.arange(1, horizon + 1)
    torch.testing.assert_close(future[0, :, 0, 0, 0], expected)
    assert future.shape == (2, horizon, 1, 4, 4)


@pytest.mark.parametrize("horizon", [0, -1, 2.5, True])
def test_wrong_horizons(horizon):
    with pytest.raises(ValueError, match="positive integer"):
        Fading((3, 1, 4, 4)).predict(torch.ones(2, 3, 1, 4, 4), horizon)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 4), "not 3-D"),
        ((2, 4, 1, 4, 4), r"frames are \(B, 3, 1, H, W\) for this predictor, not \(2, 4, 1"),
        ((2, 3, 2, 4, 4), r"not \(2, 3, 2"),
    ],
)
def test_wrong_shapes(shape, message):
    for call in (Fading((3, 1, 4, 4)), Fading((3, 1, 4, 4)).predict):
        with pytest.raises(ValueError, match=message):
            call(torch.ones(shape))


def test_arrays_that_cannot_be_written_are_taken_without_a_warning():
    frames = np.broadcast_to(np.float32(0.5), (3, 1, 4, 4))
    with warnings.catch_warnings(action="error"):
        assert Fading((3, 1, 4, 4)).predict(frames).shape[0] == 1


def test_wrong_types():
    with pytest.raises(TypeError, match="divide bytes by 255"):
        Fading((3, 1, 4, 4)).check_past(torch.ones(2, 3, 1, 4, 4, dtype=torch.uint8))
    assert Fading((3, 1, 4, 4), compat="openstl").compat == "openstl"
    with pytest.raises(ValueError, match="not 'old'"):
        Fading((3, 1, 4, 4), compat="old")


@pytest.mark.parametrize("size", [(8, 8), (5, 8), (3, 20), (17, 9), (16, 24)])
def test_predictors_of_one_size_predict_every_size(size):
    predictor = OneSize((2, 1, 8, 8), 3)
    past = torch.rand(2, 2, 1, *size)
    torch.testing.assert_close(predictor.predict(past), past[:, -1:].repeat(1, 3, 1, 1, 1))
    assert predictor.predict(past, 7).shape == (2, 7, 1, *size)


def test_tiles_cover_and_average():
    seen = []

    def run(tile):
        seen.append(tuple(tile.shape[-2:]))
        return tile + len(seen)

    total = tiled(run, torch.zeros(1, 1, 1, 4, 6), (4, 4))
    assert seen == [(4, 4), (4, 4)]
    assert total[0, 0, 0, 0].tolist() == [1, 1, 1.5, 1.5, 2, 2]


def test_padding():
    x = torch.arange(6.0).view(1, 1, 1, 2, 3)
    assert pad_frames(x, 2, 3) is x
    expected = [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert pad_frames(x, 3, 4)[0, 0, 0].tolist() == expected
    assert pad_to_multiple(x, 4).shape == (1, 1, 1, 4, 4)


class Counting(Predictor):
    """Continues a count, two frames a pass."""

    contexts = ()

    def forward(self, past):
        self.contexts = (*self.contexts, past.flatten().tolist())
        return past[:, -1:] + torch.tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)


def test_a_rollout_slides_over_the_last_frames():
    predictor, past = Counting((3, 1, 1, 1), 2), torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1, 1)
    assert predictor.rollout(past, 5).flatten().tolist() == [4, 5, 6, 7, 8]
    assert predictor.contexts == ([1, 2, 3], [3, 4, 5], [5, 6, 7])


def test_lazy_package():
    assert predcnn.list_predictors() == sorted(predcnn.list_predictors())
    assert {"simvp", "copy_last", "mean_frame"} <= set(predcnn.list_predictors())
    assert "create_predictor" in dir(predcnn)
    with pytest.raises(AttributeError, match="create_predictor"):
        predcnn.create_predicter  # noqa: B018
    assert {"van", "moganet"} <= set(predcnn.list_blocks())
    assert "incepu" not in predcnn.list_blocks()
    assert {"moving_mnist", "mmnist_cifar"} <= set(predcnn.list_datasets())
    assert predcnn.__version__ == importlib.metadata.version("predcnn")


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        ("simvp", "small", {"hid_S": 8, "hid_T": 64, "N_T": 2, "mlp_ratio": 3.0}),
        ("simvp", "published", {"hid_S": 64, "hid_T": 32, "N_T": 8}),
        ("prednet", "small", {"stack_sizes": (3, 8, 16, 32)}),
        ("convlstm", "small", {"num_hidden": (32, 32), "filter_size": 3}),
        ("copy_last", "large", {}),
    ],
)
def test_a_scale_sets_sizes_and_options_win(name, scale, expected):
    own = {"mlp_ratio": 3.0} if name == "simvp" else {}
    own |= {"hid_T": 32} if scale == "published" else {}
    predictor = predcnn.create_predictor(name, in_shape=(2, 3, 16, 16), scale=scale, **own)
    assert {key: predictor.config[key] for key in expected} == expected
    assert "scale" not in predictor.config


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("simvp", "smal", "did you mean small"),
        ("dmvfn", "large", "no scale of dmvfn 'large'; accepted: small, published"),
        (f"{__name__}.Fading", "small", "for the predictors of this package"),
    ],
)
def test_unknown_scales(name, scale, message):
    with pytest.raises(ValueError, match=message):
        predcnn.create_predictor(name, in_shape=(2, 1, 16, 16), scale=scale)
