"""Closest names and whole numbers."""

import pytest

from predcnn.checks import closest, hint, unknown, whole_number

NAMES = ["gsta", "moganet", "tau", "van", "vit"]


@pytest.mark.parametrize(
    ("given", "near"), [("TAU", "tau"), ("moga", "moganet"), ("vam", "van"), ("gste", "gsta")]
)
def test_the_closest_name_comes_first(given, near):
    assert closest(given, NAMES)[0] == near


def test_nothing_close_gives_no_hint():
    assert hint("zzzz", NAMES) == ""
    assert hint("", NAMES) == ""
    assert unknown("block", "zzzz", NAMES) == (
        "no block 'zzzz'; accepted: gsta, moganet, tau, van, vit"
    )


def test_the_hint_spells_names_as_they_are_typed():
    assert hint("vam", NAMES, prefix="data.") == "did you mean data.van? "


@pytest.mark.parametrize("value", [True, 0, 1.0, "3", None])
def test_other_than_whole_numbers_are_refused(value):
    with pytest.raises(ValueError, match=f"horizon is a whole number, at least 1, not {value!r}"):
        whole_number("horizon", value)
    assert whole_number("horizon", 0, least=0) == 0
