"""Every family compared with reference logits of the authors' code."""

from pathlib import Path

import pytest
import torch

import predcnn
from tests.backbones.reference import DATA, built, image, load, published_state

HERE = sorted(path.stem for path in DATA.glob("*.npz") if path.stem != "xtiny_96_grad")
ELSEWHERE = ["hornet_tiny_7x7", "replknet_31b", "unireplknet_f", "van_b1"]
LIMIT = 1e-4
"""Largest difference, in units of the logits' standard deviation."""


@pytest.fixture(
    params=[*HERE, *(pytest.param(name, marks=pytest.mark.slow) for name in ELSEWHERE)],
    scope="module",
)
def reference(request, shared):
    """(fixture, logits, our network with the published weights)."""
    name = request.param
    path = DATA / f"{name}.json" if name in HERE else shared(f"parity/backbones/{name}.json")
    fixture, logits = load(Path(path))
    backbone = built(fixture)
    predcnn.load_official_weights(backbone, {"model": published_state(fixture, backbone)})
    return fixture, logits, backbone


def test_parameter_count(reference):
    fixture, _, backbone = reference
    assert sum(p.numel() for p in backbone.parameters()) == fixture["params"]


def test_logits_and_stages(reference):
    fixture, logits, backbone = reference
    with torch.no_grad():
        x = image()
        features, maps = backbone.forward_intermediates(x)
        ours = backbone.forward_head(features)
        assert torch.equal(ours, backbone(x))
    assert (ours - logits).abs().max() <= LIMIT * logits.std()
    spatial = [tuple(m.shape[-2:]) for m in maps]
    assert spatial == [(56, 56), (28, 28), (14, 14), (7, 7)]
    if fixture["name"].startswith(("replknet", "slak", "unireplknet", "uniformer")):
        for stage, ours in zip(fixture["stages"].values(), maps, strict=True):
            assert ours.mean().item() == pytest.approx(stage["mean"], abs=1e-4 * stage["std"])
            assert ours.std().item() == pytest.approx(stage["std"], rel=1e-4)


def test_merged_network_has_the_same_logits(reference):
    _, logits, backbone = reference
    with torch.no_grad():
        ours = backbone.merge()(image())
    assert backbone.merged
    assert (ours - logits).abs().max() <= LIMIT * logits.std()
    with pytest.raises(ValueError, match="before merge"):
        predcnn.load_official_weights(backbone, {"a": torch.zeros(1)})
