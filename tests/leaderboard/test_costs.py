"""The cost table, and the comparison of a reproduction."""

from predcnn.leaderboard.costs import costs_of, costs_table, difference, markdown_costs
from predcnn.leaderboard.published import published
from predcnn.leaderboard.reproduce import compare

RECORD = {
    "kind": "costs", "status": "finished", "name": "moganet", "kind_of_entry": "translator",
    "data": "moving_mnist", "scale": "published", "in_shape": [10, 1, 64, 64],
    "params_published": 46_777_065, "macs_published": 16_520_000_000, "macs": 16_461_000_000,
    "throughput": [{"batch_size": 1, "sequences_per_second": 0.5}],
    "inference_memory": {"bytes": 90_000_000, "batch_size": 1},
}  # fmt: skip


def test_ours_published_difference():
    row = costs_of(RECORD)
    table = costs_table([row], "Costs")
    text = markdown_costs(table, ["a note"])
    assert "| moganet | 46.78 | 46.8 | = | 16.52 | 16.5 | = | 16.461 | 0.50 | 90 |" in text
    assert difference(181.7 - 179.2) == "+2.50"
    assert difference(15.85 - 15.9) == "="


def test_another_size_has_no_published_costs():
    small = costs_of({**RECORD, "scale": "small"})
    assert not {"params_published", "flops_difference"} & set(small.values)
    failed = costs_of({**RECORD, "status": "failed", "reason": "no memory"})
    assert "moganet failed: no memory" in markdown_costs(costs_table([failed], "Costs"), [])


def test_a_result_is_within_tolerance_or_not():
    row = published("translator", "moganet", "moving_mnist")
    good = {"mse": 26.5, "mae": 70.0, "ssim": 0.9, "ssim_openstl": 0.9400, "psnr": 22.8}
    assert [c.metric for c in compare(good, row, 0.05)] == ["mse", "mae", "ssim_openstl", "psnr"]
    assert all(check.within for check in compare(good, row, 0.05))
    bad = {check.metric: check.within for check in compare({**good, "mse": 27.0}, row, 0.05)}
    assert bad == {"mse": False, "mae": True, "ssim_openstl": True, "psnr": True}
    assert not compare({"ssim_openstl": 0.93}, row, 0.05)[0].within
