"""What holds for every input: trajectories, metrics, names, records."""

import math
import string
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from predcnn.data.generated.sprites import trajectories
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.columns import markdown
from predcnn.leaderboard.records import append, read
from predcnn.metrics import video_metrics
from predcnn.registry import Registry
from tests.leaderboard.made_records import run

UNIT = st.floats(0, 1)
ANGLE = st.floats(0, 2 * math.pi)
few = settings(max_examples=40, deadline=None)


@few
@given(UNIT, UNIT, ANGLE, st.integers(1, 60), st.floats(1e-3, 0.9))
def test_a_sprite_never_leaves_and_never_jumps(x, y, theta, frames, speed):
    track = trajectories(
        np.array([x]), np.array([y]), np.array([theta]), frames=frames, speed=speed
    )
    assert track.shape == (frames, 2, 1)
    assert track.min() >= 0
    assert track.max() <= 1
    steps = np.abs(np.diff(track, axis=0))
    assert steps.max(initial=0) <= speed * (1 + 1e-12)


@few
@given(UNIT, UNIT, ANGLE, st.integers(2, 30), st.integers(1, 29))
def test_a_longer_trajectory_begins_like_a_shorter_one(x, y, theta, frames, fewer):
    start = (np.array([x]), np.array([y]), np.array([theta]))
    long = trajectories(*start, frames=frames)
    short = trajectories(*start, frames=min(fewer, frames))
    assert np.array_equal(long[: len(short)], short)


clips = arrays(np.float32, (3, 2, 1, 12, 12), elements=st.floats(0, 1, width=32))


@few
@given(clips, clips)
def test_metrics_are_symmetric_bounded_and_zero_at_the_truth(a, b):
    pred, target = torch.from_numpy(a), torch.from_numpy(b)
    there, back, same = (video_metrics(("mse", "mae", "rmse", "ssim")) for _ in range(3))
    there.update(pred, target)
    back.update(target, pred)
    same.update(target, target)
    found, other, truth = (
        {name: float(value) for name, value in metrics.compute().items()}
        for metrics in (there, back, same)
    )
    for name in ("mse", "mae", "rmse"):
        assert found[name] == pytest.approx(other[name])
        assert truth[name] == 0
        assert found[name] >= 0
    assert found["mse"] <= found["mae"] + 1e-9 <= 144 + 1e-6  # errors lie in [0, 1]
    assert found["ssim"] == pytest.approx(other["ssim"], abs=1e-6)
    assert -1 - 1e-6 <= found["ssim"] <= 1 + 1e-6
    assert truth["ssim"] == pytest.approx(1, abs=1e-6)


@few
@given(clips, clips, st.integers(1, 2))
def test_metrics_do_not_depend_on_the_batches(a, b, cut):
    pred, target = torch.from_numpy(a), torch.from_numpy(b)
    whole, parts = (video_metrics(("mse", "ssim", "psnr", "mse_per_frame")) for _ in range(2))
    whole.update(pred, target)
    for rows in (slice(cut), slice(cut, None)):
        parts.update(pred[rows], target[rows])
    expected, found = whole.compute(), parts.compute()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)


names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)


@few
@given(st.lists(names, min_size=1, unique=True), names)
def test_a_registry_gives_back_what_it_was_given(known, asked):
    registry = Registry("thing")
    classes = {name: registry.register(name)(type(name, (), {})) for name in known}
    assert registry.names() == sorted(known)
    assert all(registry[name] is cls for name, cls in classes.items())
    for name in known:
        with pytest.raises(ValueError, match="already"):
            registry.register(name)(object)
    if asked not in known:
        with pytest.raises(KeyError, match="accepted"):
            registry[asked]


@few
@given(st.text(max_size=30))
def test_any_name_is_found_or_refused(name):
    registry = Registry("thing")
    registry.register("known")(object)
    if name != "known":
        with pytest.raises((KeyError, TypeError, ValueError)):
            registry[name]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)  # fmt: skip
facts = st.dictionaries(st.text(max_size=8).filter(lambda key: key != "schema"), plain, max_size=4)
LAST = {"kind": "reproduction", "fingerprint": "last"}


@few
@given(st.lists(facts, max_size=4), st.binary(max_size=30).filter(lambda line: b"\n" not in line))
def test_records_come_back_whatever_a_killed_writer_left(rows, half):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        valid = [{"kind": "reproduction", "fingerprint": "x", "facts": row} for row in rows]
        for row in valid:
            append(path, row)
        with path.open("ab") as file:
            file.write(half)
        append(path, LAST)
        found = read(path)
    assert found.rows == [{"schema": 2, **row} for row in (*valid, LAST)]
    assert list(found.ignored) == ([len(rows) + 1] if half.strip() else [])


@few
@given(facts, st.sampled_from(["run", "costs", "probe", "reference"]), st.data())
def test_any_record_is_read_or_refused_with_a_short_reason(row, kind, data):
    """Valid records with any part replaced, and records of anything."""
    made = run("simvp_vit", 100.0)
    made[data.draw(st.sampled_from(sorted(made)))] = data.draw(plain)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        for record in ({**row, "kind": kind}, made, LAST):
            append(path, record)
        found = read(path)
    assert len(found.rows) + len(found.ignored) == 3
    assert all(len(why) < 200 for why in found.ignored.values())
    markdown(boards(found.rows))
