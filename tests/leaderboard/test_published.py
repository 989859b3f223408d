"""The published rows are those of the tables."""

import json

import torch
from hydra.utils import instantiate

import predcnn
from predcnn.leaderboard.costs import ROUNDING
from predcnn.leaderboard.entries import compose_run
from predcnn.leaderboard.published import published, published_rows, source, variants_of


def test_names_are_ours():
    ours = {"translator": predcnn.list_translators(), "model": predcnn.list_predictors()}
    named = [row for row in published_rows() if row.name is not None]
    assert all(row.name in ours[row.kind] for row in named)
    assert len({(r.kind, r.name) for r in named}) == 13 + 13
    keys = [(r.data, r.label, r.epochs) for r in published_rows()]
    assert len(set(keys)) == len(keys)


def test_single_cells():
    moganet = published("translator", "moganet", "moving_mnist")
    assert (moganet.mse, moganet.ssim, moganet.psnr) == (25.57, 0.9429, 22.99)
    assert (moganet.params_millions, moganet.flops_billions) == (46.8, 16.5)
    assert published("translator", "gsta", "moving_mnist", 2000).mse == 15.05
    assert published("model", "predrnnpp", "mmnist_cifar").mse == 44.19
    assert published("translator", "mamba", "moving_mnist") is None
    assert published("translator", "moganet", "moving_mnist", 600) is None


def test_rows_outside_the_tables_have_their_own_epochs_and_source():
    predformer = published("model", "predformer", "moving_mnist", 2000)
    assert (predformer.mse, predformer.params_millions) == (12.4, 25.3)
    for name, epochs in (("predformer", 200), ("vmrnn", 500), ("wast", 600)):
        row = published("model", name, "moving_mnist")
        assert row.epochs == epochs
        assert row.source in source()
    assert published("model", "mmvp", "moving_mnist") is None


def test_all_numbers_are_those_of_the_reference_file(shared):
    """Every row of the tables is here with its numbers, repeated rows once."""
    path = shared("reference/published_results.json")
    rows = [r for r in json.loads(path.read_text()) if r["source"].startswith("OpenSTL")]
    names = {"mmnist": "moving_mnist", "mmnist_cifar": "mmnist_cifar"}
    ours = {
        (r.data, r.epochs, r.mse, r.mae, r.ssim, r.params_millions, r.flops_billions, r.fps_v100)
        for r in published_rows()
    }
    for r in rows:
        costs = (r["params_M"], r["flops_G"], r["fps_v100"])
        key = (names[r["dataset"]], r["epochs"], r["mse"], r["mae"], r["ssim"], *costs)
        assert key in ours, r["label"]


def test_variants_build_networks_of_the_published_size():
    assert [row.label for row in variants_of("convlstm", "mmnist_cifar")] == ["ConvLSTM-L"]
    rows = variants_of("predformer", "moving_mnist")
    assert len(rows) == 14
    for row in rows:
        cfg = compose_run([f"model={row.variant_of}", "scale=published", *row.overrides])
        with torch.device("meta"):
            net = instantiate(cfg.model.net)
        params = sum(p.numel() for p in net.parameters()) / 1e6
        assert abs(params - row.params_millions) <= ROUNDING, row.label
