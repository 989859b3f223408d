"""Random numbers depend on (key, index) only and pass simple tests of randomness."""

import numpy as np
import pytest

from predcnn.data.draws import integers, normals, permutation, stream_key, uniforms


def test_a_row_depends_only_on_its_index() -> None:
    together = uniforms(7, np.arange(100), 9)
    alone = np.concatenate([uniforms(7, np.array([i]), 9) for i in reversed(range(100))])
    assert np.array_equal(together, alone[::-1])
    assert np.array_equal(uniforms(7, np.arange(100), 4), together[:, :4])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, "train", 0), (0, "train", 1)),
        ((0, "train", 0), (1, "train", 0)),
        ((0, "val", 0), (0, "test", 0)),
        ((1, 23), (12, 3)),
    ],
)
def test_streams_are_independent(first: tuple, second: tuple) -> None:
    a = uniforms(stream_key(*first), np.arange(1000), 4)
    b = uniforms(stream_key(*second), np.arange(1000), 4)
    assert not np.isin(a, b).any()
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05


def test_keys_do_not_change_between_versions() -> None:
    # old checkpoints must resume on the same data
    assert stream_key(np.int64(42), "train", np.int32(3)) == stream_key(42, "train", 3)
    assert stream_key(42, "train", 3) == 8009986075504672162
    assert uniforms(1, np.array([2]), 2).tolist() == [[0.651475462601699, 0.42700329599888454]]


def test_numbers_are_uniform_and_uncorrelated() -> None:
    unit = uniforms(stream_key("test"), np.arange(20_000), 10)
    assert unit.min() >= 0
    assert unit.max() < 1
    for column in unit.T:  # chi square with 49 degrees of freedom; 99.99 % lie below 96
        counts = np.histogram(column, 50, (0, 1))[0]
        assert ((counts - 400) ** 2 / 400).sum() < 96
    correlation = np.corrcoef(unit.T) - np.eye(10)
    assert np.abs(correlation).max() < 0.04
    assert abs(np.corrcoef(unit[1:, 0], unit[:-1, 0])[0, 1]) < 0.04


def test_integers_reach_both_ends() -> None:
    drawn = integers(uniforms(3, np.arange(5000), 1)[:, 0], 40)
    assert set(drawn) == set(range(40))


def test_normals_have_the_moments_of_a_normal_distribution() -> None:
    drawn = normals(uniforms(5, np.arange(20_000), 2))
    assert drawn.shape == (20_000, 1)
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() - 1) < 0.03
    assert abs((drawn**4).mean() - 3) < 0.25


def test_permutation_contains_every_number_once() -> None:
    order = permutation(stream_key(0, "order", 0), 1000)
    assert sorted(order) == list(range(1000))
    assert (order == permutation(stream_key(0, "order", 0), 1000)).all()
    assert (order != permutation(stream_key(0, "order", 1), 1000)).mean() > 0.9
