"""How two formulations are compared and what a row says."""

import pytest
import torch

from predcnn.files import write_json
from scripts.dev.speed import GROUPS, comparing, report
from scripts.dev.speed.comparing import Comparison, How, largest_error

HOW = How(rounds=1, clock="cpu", gemm_peak=1.0)


def test_errors_are_relative_to_each_tensor():
    small, large = torch.tensor([1e-2]), torch.tensor([10.0])
    assert largest_error([small * 1.1, large], [small, large]) == pytest.approx(0.1, rel=1e-4)
    assert largest_error({"a": small}, {"a": small}) == 0
    assert largest_error(torch.ones(2), torch.ones(3)) == float("inf")
    for value in ("nan", "inf"):
        assert largest_error(torch.tensor([float(value)]), torch.tensor([float(value)])) == float(
            "inf"
        )
        assert largest_error(torch.ones(1), torch.tensor([float(value)])) == float("inf")
    with pytest.raises(ValueError, match="zip"):
        largest_error([small], [small, large])


def test_noise_next_to_large_gradients_counts_little():
    noise, large = torch.tensor([1e-9]), torch.tensor([1.0])
    assert largest_error([2 * noise, large], [noise, large]) == pytest.approx(1e-5, rel=1e-3)


def test_rounds_take_turns_and_medians_count(monkeypatch):
    clock, order = [0.0], []
    durations = {"ours": iter([9, 1, 1, 4]), "plain": iter([9, 2, 3, 8])}

    def side(name):
        def call():
            order.append(name)
            clock[0] += next(durations[name])
            return torch.ones(1)

        return call

    monkeypatch.setitem(comparing.CLOCKS, "wall", lambda: clock[0])
    case = Comparison("case", side("ours"), side("plain"), macs=10)
    row = case.measure(How(rounds=3, clock="wall", gemm_peak=20.0))
    assert order == ["ours", "plain"] * 4
    assert (row.ours_s, row.plain_s, row.ratio, row.rounds) == (1, 3, 2, 3)
    assert row.gemm_share == 0.5
    assert row.equal
    assert "2.00 ± 0.50 times as fast (3000.00 -> 1000.00 ms, 50% of the GEMM peak)" in report.line(
        row
    )


def test_unequal_results_are_reported(tmp_path):
    case = Comparison("case", lambda: torch.ones(1), lambda: torch.zeros(1) + 2, tolerance=0.1)
    row = case.measure(HOW)
    assert not row.equal
    assert "NOT EQUAL" in report.line(row)
    about = {"device": "d", "date": "2026-01-01", "rounds": 1, "clock": "cpu", "gemm_peak": 1e9}
    about |= {"kernels": "none: test", "command": "run.py"}
    text = report.as_markdown(report.as_json("group", [row], about))
    assert "| case |" in text
    assert "(not equal)" in text
    nan = Comparison("nan", lambda: torch.tensor([float("nan")]), lambda: torch.ones(1))
    content = report.as_json("group", [row, nan.measure(HOW)], about)
    write_json(tmp_path / "group.json", content)
    assert "not finite (not equal)" in report.as_markdown(content)


def test_compared_in_double_precision_the_measured_values_need_only_be_finite():
    exact = (lambda: torch.ones(1), lambda: torch.ones(1))
    near = Comparison("near", lambda: torch.ones(1), lambda: torch.zeros(1) + 2, exactly=exact)
    assert near.measure(HOW).error == 0
    nan = torch.tensor([float("nan")])
    assert not Comparison("nan", lambda: nan, lambda: nan, exactly=exact).measure(HOW).equal


def test_peak_is_that_of_a_matrix_product():
    assert comparing.gemm_peak("wall", size=64, repeats=3) > 1e6


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_name_gives_no_case(group):
    assert list(GROUPS[group](lambda name: False)) == []
