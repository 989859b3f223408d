"""Minutes to steps, on idle and on busy machines."""

import pytest

from predcnn.training.budget import pace, steps_within


def test_an_idle_machine_counts_wall_time():
    cpu = [0.9, 0.92, 0.9, 0.9]  # two threads busy most of the time
    assert pace([0.5, 0.51, 0.5, 0.5], cpu, "cpu").seconds_per_step == pytest.approx(0.5)


def test_other_load_on_some_steps_changes_little():
    wall = [0.5, 1.3, 0.5, 2.0, 0.9, 1.1, 1.0, 0.5, 1.4, 0.5]
    found = pace(wall, [0.9] * 10, "cpu")
    assert found.seconds_per_step == pytest.approx(0.5)
    assert found.wall_per_step == pytest.approx(0.95)


def test_a_step_never_takes_longer_than_its_processor_time():
    found = pace([2.0, 3.0, 2.5], [0.4, 0.4, 0.4], "cpu")
    assert found.seconds_per_step == pytest.approx(0.4)
    assert pace([2.0, 3.0, 2.5], [0.4, 0.4, 0.4], "cuda").seconds_per_step == 2.5


def test_steps_fill_the_budget_and_divide_into_validations():
    assert steps_within(240, 0.5, "minutes=4") == 480
    assert steps_within(60, 0.47, "minutes=1") == 125
    with pytest.raises(ValueError, match=r"minutes=1 holds 3.0 steps of 20.00 s; at least 5"):
        steps_within(60, 20.0, "minutes=1")
