"""Trajectories and drawing compared with the published rules in scalar loops."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predcnn.data.generated.sprites import SpriteDraws, corners, draw, trajectories
from predcnn.native import plain
from tests.reference.sprites import grey_sequence, positions, published_draws

units = st.floats(0, 1, exclude_max=True)
angles = st.floats(0, 2 * math.pi) | st.sampled_from([0, math.pi / 2, math.pi, 3 * math.pi / 2])
starts = st.tuples(units, units, angles)
speeds = st.floats(1e-3, 1.5)


def _draws(rows: list[list[tuple]]) -> SpriteDraws:
    x, y, theta, sprite = np.array(rows, dtype=float).transpose(2, 0, 1)
    return SpriteDraws(x, y, theta, sprite.astype(int))


@settings(max_examples=200, deadline=None)
@given(st.lists(starts, min_size=1, max_size=4), st.integers(1, 40), speeds)
def test_positions_equal_the_scalar_loop_bit_for_bit(
    rows: list[tuple], frames: int, speed: float
) -> None:
    draws = _draws([[(*row, 0)] for row in rows])
    ours = corners(draws, (36, 100), frames=frames, speed=speed)
    with plain():
        assert np.array_equal(corners(draws, (36, 100), frames=frames, speed=speed), ours)
    for b, (x, y, theta) in enumerate(rows):
        expected = positions(x, y, theta, frames, speed, free=(36, 100))
        assert [tuple(place) for place in ours[:, :, b, 0]] == expected


@settings(max_examples=100, deadline=None)
@given(starts, speeds, st.integers(0, 2**32 - 1))
def test_noisy_velocities_equal_the_scalar_loop(row: tuple, speed: float, seed: int) -> None:
    jitter = np.random.default_rng(seed).normal(0, 0.2, (10, 2))
    ours = corners(
        _draws([[(*row, 0)]]), (36, 36), frames=20, speed=speed, jitter=jitter[:, :, None, None]
    )
    expected = positions(*row, 20, speed, jitter)
    assert [tuple(place) for place in ours[:, :, 0, 0]] == expected


@settings(max_examples=200, deadline=None)
@given(starts, st.floats(1e-3, 0.5))
def test_a_sprite_stays_inside_and_keeps_its_speed_between_walls(row: tuple, speed: float) -> None:
    x, y, theta = row
    track = trajectories(np.array([x]), np.array([y]), np.array([theta]), frames=60, speed=speed)
    track = np.concatenate([[[[y], [x]]], track])[:, :, 0]  # frame -1 is the start
    assert (track >= 0).all()
    assert (track <= 1).all()
    for path, velocity in zip(track.T, (math.sin(theta), math.cos(theta)), strict=True):
        moved = np.diff(path)
        free = (path[1:] > 0) & (path[1:] < 1)
        assert np.allclose(np.abs(moved[free]), abs(velocity) * speed, atol=1e-12)
        assert (np.abs(moved) <= abs(velocity) * speed + 1e-12).all()
        # the direction changes exactly after a wall was touched
        for before, wall, after in zip(moved, path[1:], moved[1:], strict=False):
            if before != 0 and after != 0 and abs(velocity) > 1e-9:
                assert (np.sign(before) != np.sign(after)) == (wall in (0.0, 1.0))


@pytest.mark.usefixtures("either_kernels")
def test_the_memory_layout_of_start_positions_does_not_matter() -> None:
    x, y, theta = np.random.default_rng(0).random((3, 4, 3))
    expected = trajectories(x, y, theta, frames=9)
    x, y, theta = (np.asfortranarray(values) for values in (x, y, theta))
    assert np.array_equal(trajectories(x, y, theta, frames=9), expected)


def test_a_wall_hit_exactly_counts_as_a_bounce() -> None:
    track = trajectories(np.array([0.1]), np.array([0.5]), np.array([math.pi]), frames=2)
    assert track[:, 1, 0].tolist() == [0.0, 0.1]


@pytest.mark.usefixtures("either_kernels")
def test_frames_equal_the_published_generator() -> None:
    rng, sprites = random.Random(0), np.random.default_rng(0).integers(0, 256, (50, 28, 28))
    sprites = sprites.astype(np.uint8)
    rows = [published_draws(rng, len(sprites)) for _ in range(20)]
    draws = _draws(rows)
    frames = np.full((20, 20, 1, 64, 64), 9, np.uint8)
    draw(frames, sprites, draws, corners(draws, (36, 36), frames=20))
    expected = np.stack([grey_sequence(sprites, row) for row in rows])
    assert np.array_equal(frames, expected)


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("width", [3, 16, 20, 47])
@pytest.mark.parametrize("count", [[1, 3, 2], None])
def test_any_canvas_and_number_of_sprites(count: list[int] | None, width: int) -> None:
    rng = np.random.default_rng(1)
    sprites = rng.integers(0, 256, (9, 28, width), dtype=np.uint8)
    rows = [[(*rng.random(2), rng.random() * 6, rng.integers(9)) for _ in range(3)] for _ in "abc"]
    draws = _draws(rows)
    draws = SpriteDraws(
        draws.x, draws.y, draws.theta, draws.sprite, None if count is None else np.array(count)
    )
    black, over = np.full((2, 3, 7, 2, 28, 97), 9, np.uint8)
    still = rng.integers(0, 256, (3, 2, 28, 97), dtype=np.uint8)
    places = corners(draws, (0, 97 - width), frames=7, speed=0.3)
    draw(black, sprites, draws, places)
    draw(over, sprites, draws, places, still)
    for b, row in enumerate(rows):
        shown = row if count is None else row[: count[b]]
        expected = grey_sequence(sprites, shown, frames=7, size=(28, 97), speed=0.3)
        assert np.array_equal(black[b], np.repeat(expected, 2, axis=1))
        assert np.array_equal(over[b], np.maximum(expected, still[b]))


@pytest.mark.parametrize(
    "change",
    [
        {"draws": _draws([[(0.5, 0.5, 0.0, -1)]])},
        {"draws": _draws([[(0.5, 0.5, 0.0, 5)]])},
        {"frames": np.zeros((1, 2, 1, 8, 16), np.uint8)[..., ::2]},
        {"sprites": np.ones((5, 2, 2), np.float32)},
        {"places": np.zeros((1, 2, 1, 1), np.int64)},
        {"places": np.full((2, 2, 1, 1), 7)},
        {"places": np.full((2, 2, 1, 1), -1)},
        {"sprites": np.ones((5, 9, 2), np.uint8)},
        {"still": np.zeros((2, 1, 8, 8), np.uint8)},
    ],
)
def test_a_kernel_gets_no_wrong_addresses(change: dict) -> None:
    draws = _draws([[(0.5, 0.5, 0.0, 0)]])
    given = {
        "frames": np.zeros((1, 2, 1, 8, 8), np.uint8),
        "sprites": np.ones((5, 2, 2), np.uint8),
        "draws": draws,
        "places": corners(draws, (6, 6), frames=2),
    }
    draw(**given)
    with pytest.raises(ValueError, match="do not fit together"):
        draw(**(given | change))


@pytest.mark.usefixtures("either_kernels")
def test_no_sequences_and_counts_above_the_number_of_sprites() -> None:
    draws = _draws([[(0.5, 0.5, 0.0, 0)]])
    some = SpriteDraws(draws.x, draws.y, draws.theta, draws.sprite, np.array([3]))
    frames, places = np.zeros((1, 2, 1, 8, 8), np.uint8), corners(draws, (6, 6), frames=2)
    draw(frames, np.ones((1, 2, 2), np.uint8), some, places.astype(np.int32))
    assert frames.sum() == 2 * 4
    none = SpriteDraws(draws.x[:0], draws.y[:0], draws.theta[:0], draws.sprite[:0])
    draw(frames[:0], np.ones((1, 2, 2), np.uint8), none, places[:, :, :0])
