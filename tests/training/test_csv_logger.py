"""metrics.csv and timing.csv: new columns, separate files, resume."""

import csv

import torch

from predcnn.training.csv_logger import CSVLogger


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_new_columns_are_added_and_timing_has_its_own_file(tmp_path):
    logger = CSVLogger(tmp_path)
    logger.log_metrics({"train/loss": torch.tensor(0.5), "epoch": 0}, step=1)
    logger.log_metrics({"val/mse": 3.0, "epoch": 0}, step=1)
    logger.log_metrics({"timing/sequences_per_s": 9.0}, step=2)
    found = rows(tmp_path / "metrics.csv")
    assert [(r["step"], r["train/loss"], r["val/mse"]) for r in found] == [
        ("1", "0.5", ""),
        ("1", "", "3.0"),
    ]
    assert [r["timing/sequences_per_s"] for r in rows(tmp_path / "timing.csv")] == ["9.0"]
    assert "timing/sequences_per_s" not in found[0]


def test_resume_drops_the_rows_after_the_checkpoint(tmp_path):
    logger = CSVLogger(tmp_path)
    for step in (1, 2, 3):
        logger.log_metrics({"train/loss": float(step)}, step=step)
    again = CSVLogger(tmp_path)
    again.resume_at(3)
    again.log_metrics({"train/loss": 30.0}, step=3)
    assert [r["train/loss"] for r in rows(tmp_path / "metrics.csv")] == ["1.0", "2.0", "30.0"]


def test_no_file_before_the_first_value(tmp_path):
    CSVLogger(tmp_path / "run")
    assert not (tmp_path / "run").exists()
