"""Networks initialised from pre-trained weights."""

import pytest
import torch
from torch import nn

import predcnn
from predcnn.backbones.pretrained import save_pretrained, start_from_pretrained
from predcnn.weights.files import KeyMismatchError

TINY = {"dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)}
ABOUT = {"method": "a2mim", "backbone": "tiny"}


def pretrained(name: str, **options: object) -> nn.Module:
    """Backbone without classifier and with random weights, as after pre-training."""
    backbone = predcnn.create_backbone(name, num_classes=0, **options)
    backbone.prune_intermediate_layers([3], prune_norm=False, prune_head=True)
    for tensor in backbone.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor))
    return backbone


@pytest.mark.parametrize("name", ["moganet_xtiny", "van_b0", "timm/convnext_tiny"])
def test_all_weights_but_the_classifier_are_loaded(name, tmp_path):
    source = pretrained(name, **TINY)
    path = save_pretrained(source, tmp_path / "backbone.safetensors", ABOUT)
    backbone = predcnn.create_backbone(name, num_classes=5, weights=path, **TINY)
    state, loaded = backbone.state_dict(), source.state_dict()
    assert all(torch.equal(state[key], value) for key, value in loaded.items())
    report, _, left = backbone.taken_weights.partition("; initial values: ")
    assert report == f"{len(loaded)} tensors loaded from {path} (a2mim)"
    assert set(left.split(", ")) == set(state) - set(loaded)
    assert all("head" in key for key in left.split(", "))


def test_feature_networks_load_pretrained_weights(tmp_path):
    source = pretrained("van_b0", **TINY).eval()
    path = save_pretrained(source, tmp_path / "backbone.safetensors", ABOUT)
    maps = predcnn.create_backbone("van_b0", features_only=True, weights=path, **TINY).eval()
    image = torch.rand(1, 3, 64, 64)
    expected = source.forward_intermediates(image, intermediates_only=True)
    assert all(map(torch.equal, maps(image), expected))


def test_another_network_is_an_error_and_unchanged(tmp_path):
    source = pretrained("van_b0", **TINY)
    path = save_pretrained(source, tmp_path / "backbone.safetensors", ABOUT)
    backbone = predcnn.create_backbone("van_b0", dims=(8, 16, 24, 40), depths=(1, 1, 1, 1))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(KeyMismatchError, match="pre-trained tiny, does not fit VAN"):
        start_from_pretrained(backbone, path)
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())


def test_a_translator_loads_a_stage(tmp_path):
    source = pretrained("van_b0", dims=(8, 16, 24, 32), depths=(1, 1, 1, 3))
    path = save_pretrained(source, tmp_path / "backbone.safetensors", ABOUT)
    simvp = predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 16, 16), translator="van", hid_S=4, hid_T=32, N_S=2, N_T=4,
        mlp_ratio=4.0, translator_weights=path,
    )  # fmt: skip
    found = simvp.translator.stages[1].block.state_dict()
    expected = source.stages[3].blocks[0].state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert "translator blocks start from" in str(simvp.taken_weights)
