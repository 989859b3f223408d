"""Generated sequences: published rules, reproducibility, noise, disjoint splits."""

import random

import cv2
import numpy as np
import pytest
import torch

from predcnn.data import create_datamodule
from predcnn.data.generated.pools import enlarge
from predcnn.data.generated.sequences import GeneratedSequences
from predcnn.data.generated.sprites import SpriteDraws
from tests.reference.sprites import colour_sequence, grey_sequence, positions, published_draws

SETS = ("moving_mnist", "mmnist_cifar")
NOISES = (None, "perceptual", "missing", "dynamic")


def _split(name: str = "moving_mnist", split: str = "train", **options: object):
    return create_datamodule(name, source="embedded", **options).split(split)


def _rows(draws: SpriteDraws, b: int) -> list[tuple]:
    shown = slice(None if draws.count is None else int(draws.count[b]))
    columns = (draws.x[b], draws.y[b], draws.theta[b], draws.sprite[b])
    return list(zip(*(column[shown].tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    "options", [{}, {"digits": [1, 3], "height": 48, "width": 80, "speed": 0.3}]
)
def test_moving_mnist_equals_the_published_rules(options: dict) -> None:
    dataset = _split(**options)
    draws, _ = dataset.draws(5, range(12))
    height, width = dataset.in_shape[2:]
    expected = [
        grey_sequence(
            dataset._sprites, _rows(draws, b), size=(height, width), speed=options.get("speed", 0.1)
        )
        for b in range(12)
    ]
    frames = dataset.batch(5, range(12))
    assert frames.dtype == torch.uint8
    assert np.array_equal(frames.numpy(), np.stack(expected))


@pytest.mark.parametrize("options", [{}, {"digits": 3, "height": 40, "width": 72}])
def test_mmnist_cifar_equals_the_published_rules(options: dict) -> None:
    module = create_datamodule("mmnist_cifar", source="embedded", **options)
    dataset = module.split("train")
    digits = module.family.sprites.pool(module.family._archives[0], "isolated", "train").images
    draws, background = dataset.draws(2, range(20))  # more than one chunk
    expected = [
        colour_sequence(
            digits, dataset._backgrounds[background[b]], _rows(draws, b), size=dataset.in_shape[2:]
        )
        for b in range(20)
    ]
    assert np.array_equal(dataset.batch(2, range(20)).numpy(), np.stack(expected))


def test_faint_pixels_stay_transparent() -> None:
    sprites = _split("mmnist_cifar")._sprites
    assert set(np.unique(sprites)) <= {0, 1, 255}
    grey = _split()._sprites
    assert np.array_equal(sprites == 1, grey == 1)
    assert np.array_equal(sprites == 255, grey > 1)


def test_draws_of_the_published_generator_are_rendered_equally() -> None:
    dataset, rng = _split(), random.Random(0)
    rows = [published_draws(rng, len(dataset._sprites)) for _ in range(8)]
    x, y, theta, sprite = np.array(rows, dtype=float).transpose(2, 0, 1)
    frames = dataset.render(SpriteDraws(x, y, theta, sprite.astype(int)))
    assert np.array_equal(frames, np.stack([grey_sequence(dataset._sprites, r) for r in rows]))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", SETS)
def test_a_sequence_does_not_depend_on_its_batch(name: str, noise: str | None) -> None:
    dataset = _split(name, noise=noise, digits=[1, 2])
    together = dataset.batch(3, [7, 0, 9999, 42])
    for row, index in zip(together, [7, 0, 9999, 42], strict=True):
        assert torch.equal(dataset.batch(3, [index])[0], row)
        assert torch.equal(dataset[3, index], row)
    other = dataset.__getitems__([(3, 42), (4, 42)])
    assert torch.equal(other[0], together[3])
    assert not torch.equal(other[1], together[3])


def test_a_new_object_gives_the_same_bytes_and_fingerprint() -> None:
    first, second = _split(seed=5), _split(seed=5)
    assert torch.equal(first.batch(1, [3]), second.batch(1, [3]))
    assert first.fingerprint == second.fingerprint
    assert _split(seed=6).fingerprint != first.fingerprint
    assert not torch.equal(_split(seed=6).batch(1, [3]), first.batch(1, [3]))


@pytest.mark.parametrize(
    "option",
    [{"noise": "missing"}, {"speed": 0.2}, {"digits": 1}, {"frames_out": 5}, {"height": 96}],
)
def test_every_option_changes_the_fingerprint(option: dict) -> None:
    assert _split(**option).fingerprint != _split().fingerprint


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_is_the_same_for_every_seed_and_epoch(split: str) -> None:
    dataset = _split(split=split, seed=1)
    assert torch.equal(dataset.batch(0, [0, 1]), _split(split=split, seed=2).batch(9, [0, 1]))
    other = _split(split=split, eval_seed=1)
    assert not torch.equal(dataset.batch(0, [0, 1]), other.batch(0, [0, 1]))


@pytest.mark.parametrize("name", SETS)
def test_isolated_splits_share_no_image(name: str) -> None:
    module = create_datamodule(name, source="embedded")
    for attribute in ("_sprites", "_backgrounds")[: module.in_shape[1]]:
        pools = [getattr(module.split(split), attribute) for split in ("train", "val", "test")]
        seen = [{image.tobytes() for image in pool} for pool in pools]
        assert all(seen)
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]


def test_embedded_pools_have_the_documented_sizes() -> None:
    sizes = [len(_split("mmnist_cifar", split)._sprites) for split in ("train", "val", "test")]
    assert sizes == [1834, 166, 500]
    sizes = [len(_split("mmnist_cifar", split)._backgrounds) for split in ("train", "val", "test")]
    assert sizes == [2000, 500, 500]


def test_published_protocol_uses_training_digits_in_all_splits() -> None:
    module = create_datamodule("mmnist_cifar", source="embedded", protocol="openstl")
    splits = [module.split(name) for name in ("train", "val", "test")]
    assert [len(split._sprites) for split in splits] == [2000] * 3
    assert [len(split._backgrounds) for split in splits] == [3000] * 3
    first = [split.batch(0, [0]).numpy().tobytes() for split in splits]
    assert len(set(first)) == 3
    assert "generated in place of mnist_cifar_test_seq.npy" in module.source


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("name", SETS)
def test_perceptual_noise_blackens_one_square_per_input_frame(name: str, split: str) -> None:
    clean = _split(name, split).batch(0, range(30)).numpy()
    noisy = _split(name, split, noise="perceptual").batch(0, range(30)).numpy()
    assert np.array_equal(noisy[:, 10:], clean[:, 10:])
    corners = set()
    for before, after in zip(
        clean[:, :10].reshape(-1, *clean.shape[2:]),
        noisy[:, :10].reshape(-1, *clean.shape[2:]),
        strict=True,
    ):
        changed = np.argwhere((before != after).any(0))
        if not len(changed):
            continue
        (top, left), (bottom, right) = changed.min(0), changed.max(0)
        assert bottom - top < 24
        assert right - left < 24
        assert (after[:, top : bottom + 1, left : right + 1] == 0).all()
        corners.add((top, left))
    assert len(corners) > 50


def test_missing_noise_blackens_a_fifth_of_the_input_frames() -> None:
    clean = _split().batch(0, range(300)).numpy()
    noisy = _split(noise="missing").batch(0, range(300)).numpy()
    assert np.array_equal(noisy[:, 10:], clean[:, 10:])
    gone = (noisy[:, :10] == 0).all((2, 3, 4))
    assert abs(gone.mean() - 0.2) < 0.03
    assert np.array_equal(noisy[:, :10][~gone], clean[:, :10][~gone])


def test_dynamic_noise_changes_the_velocity_in_the_input_frames() -> None:
    from predcnn.data.generated.noise import velocity_jitter

    dataset = _split(noise="dynamic")
    draws, _ = dataset.draws(0, range(50))
    jitter = velocity_jitter("dynamic", dataset._key(0), np.arange(50), 10, 2)
    assert jitter.shape == (10, 2, 50, 2)
    assert abs(jitter.std() - 0.2) < 0.02
    frames = dataset.batch(0, range(50)).numpy()
    for b in range(5):
        expected = np.zeros((20, 64, 64), np.uint8)
        for d, (x, y, theta, sprite) in enumerate(_rows(draws, b)):
            places = positions(x, y, theta, 20, jitter=jitter[:, :, b, d])
            for t, (top, left) in enumerate(places):
                view = expected[t, top : top + 28, left : left + 28]
                view[...] = np.maximum(view, dataset._sprites[sprite])
        assert np.array_equal(frames[b, :, 0], expected)


def test_an_index_out_of_range_is_an_error() -> None:
    dataset = _split(train_sequences=5)
    with pytest.raises(IndexError, match=r"0\.\.4"):
        dataset.batch(0, [5])
    assert isinstance(dataset, GeneratedSequences)


def test_backgrounds_are_enlarged_like_openstls() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for height, width in ((64, 64), (48, 96)):
        expected = [
            cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)
            for image in images
        ]
        assert np.array_equal(enlarge(images, height, width), np.stack(expected))
