"""MogaNet's logits, stages and gradients compared with the published code."""

from pathlib import Path

import numpy as np
import pytest
import torch

import predcnn
from predcnn.weights.published import export_openstl_state_dict
from tests.backbones.reference import DATA
from tests.predictors.published import (
    distance,
    gradient_probe,
    load_fixture,
    published_input,
    published_state,
    published_target,
    tolerance,
)


def loaded(fixture: dict) -> torch.nn.Module:
    backbone = predcnn.create_backbone(f"moganet_{fixture['arch']}")
    return predcnn.load_official_weights(backbone, {"state_dict": published_state(fixture)})


@pytest.mark.parametrize("name", ["xtiny_96_grad", "xtiny_224", "tiny_224"])
def test_logits_and_stages(name, shared):
    kept = DATA / f"{name}.json"
    path = kept if kept.exists() else shared(f"parity/moganet/{name}.json")
    fixture, arrays = load_fixture(Path(path))
    backbone = loaded(fixture).eval()
    assert sum(p.numel() for p in backbone.parameters()) == fixture["num_parameters"]
    x = published_input(fixture)
    with torch.no_grad():
        maps = backbone.forward_intermediates(x, intermediates_only=True)
        logits = backbone(x)
    assert distance(logits, arrays) <= min(tolerance(fixture), 1e-4 * fixture["output_std"])
    for i, ours in enumerate(maps, start=1):
        assert distance(ours, arrays, f"stage{i}") <= 1e-4 * float(arrays[f"stage{i}_std"])


def test_multiply_adds():
    fixture, _ = load_fixture(DATA / "xtiny_96_grad")
    profile = predcnn.profile(predcnn.create_backbone("moganet_xtiny"), (3, 96, 96))
    counted = fixture["flops_by_operator"]
    assert profile.macs == counted["conv"] + counted["linear"]
    assert profile.macs_published == pytest.approx(fixture["flops_one_sample"], rel=1e-3)


def test_gradients():
    fixture, arrays = load_fixture(DATA / "xtiny_96_grad")
    backbone = loaded(fixture).train()
    output = backbone(published_input(fixture))
    loss = (output - published_target(tuple(output.shape))).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["train_loss64"]), rel=1e-5)
    ours = export_openstl_state_dict(backbone, {k: p.grad for k, p in backbone.named_parameters()})
    names = arrays["grad_names"].tolist()
    norms = dict(zip(names, arrays["grad_norm64"], strict=True))
    probes = dict(zip(names, arrays["grad_probe64"], strict=True))
    largest = np.nanmax(arrays["grad_norm64"])
    for key, gradient in ours.items():
        key = key if key in norms else f"{key}.scale"
        norm = gradient.double().norm().item()
        if norms[key] <= 1e-6 * largest:  # analytically zero, such as a bias before a batch norm
            assert norm <= 1e-5 * largest, key
            continue
        assert norm == pytest.approx(norms[key], rel=1e-3), key
        assert abs(gradient_probe(key, gradient) - probes[key]) <= 1e-3 * norms[key], key
    assert len(ours) == len(names)
