"""Tables of tests with noise, and the mode that makes them."""

import pytest

from predcnn.app.benchmark import benchmark
from predcnn.leaderboard import records
from predcnn.leaderboard.robustness import robustness_of
from tests.app.test_benchmark import bench_cfg
from tests.leaderboard.made_records import noisy


def test_a_table_for_each_test_set_best_without_noise_first():
    small = noisy("simvp_gsta", 50.0, test=8)
    rows = [noisy("simvp_vit", 90.0), noisy("convlstm", 80.0, "model"), small]
    first, second = robustness_of(rows)
    assert [row.label for row in first.table.rows] == [
        "ConvLSTM",
        "SimVP + ViT",
        "Copy of the last frame",
    ]
    assert next(row.label for row in second.table.rows) == "SimVP + gSTA"
    _, shown = next(first.table.cells())
    cells = dict(zip((c.key for c in first.table.columns), shown, strict=True))
    assert (cells["mse clean"].text, cells["mse clean"].place) == ("80.00", 1)
    assert cells["mse dynamic"].text == "110.00"
    assert cells["ssim missing"].text == "0.5000"
    assert any("8 test sequences" in sentence for sentence in second.protocol)
    assert "| ConvLSTM | **80.00** |" in first.markdown()


def test_newer_tests_of_the_same_weights_replace_older():
    (found,) = robustness_of([noisy("simvp_vit", 90.0), noisy("simvp_vit", 70.0)])
    assert [row.values["mse clean"].mean for row in found.table.rows] == [70.0, 270.0]
    assert robustness_of([]) == []


@pytest.mark.parametrize("change", [{"tests": {"clean": {}}}, {"kind_of_entry": "x"}, {"data": 3}])
def test_incomplete_records_are_ignored(change):
    assert records.problem(noisy("simvp_vit", 90.0)) is None
    assert "missing or not valid" in records.problem(noisy("simvp_vit", 90.0) | change)


def test_shipped_weights_are_tested_and_recorded_once(tmp_path, capfd):
    """The noise changes the past frames only, so a copy of the last frame is worse or better."""
    words = ("mode=robustness", "checkpoints=[pretrained/simvp_moganet_moving_mnist]")
    sized = ("data.test_sequences=4",)
    benchmark(bench_cfg(tmp_path, *words, tiny=sized))
    path = tmp_path / "bench/records.jsonl"
    (record,) = records.read(path).rows
    mse = {test: results["metrics"]["mse"] for test, results in record["tests"].items()}
    assert len(set(mse.values())) == 4
    assert mse["clean"] < min(mse["perceptual"], mse["missing"], mse["dynamic"])
    assert record["data"]["sequences"]["test"] == 4
    assert "SimVP + MogaNet" in (tmp_path / "bench/leaderboard.html").read_text()
    assert "with noise on the past frames" in (tmp_path / "bench/leaderboard.md").read_text()

    benchmark(bench_cfg(tmp_path, *words, tiny=sized))
    assert records.read(path).rows == [record]
    with pytest.raises(ValueError, match="give checkpoints="):
        benchmark(bench_cfg(tmp_path, "mode=robustness"))
