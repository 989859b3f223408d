"""VMRNN against reference outputs, gradients and counts of the reference code, in float64."""

import numpy as np
import pytest
import torch
from torch import nn

import predcnn
from predcnn.ops import DropPath
from predcnn.weights.published import key_map
from tests.predictors.published import (
    distance,
    gradient_probe,
    load_fixture,
    published_input,
    published_state,
    published_target,
)
from tests.predictors.test_recurrent_parity import HERE, published_count

SMALL = "B_openstl", "B_openstl_patch4_2ch", "D_mm", "D_openstl_3levels"
LARGE = {"taxibj_B": 1e-9, "taxibj_B_rollout": 1e-6, "mmnist_D": 1e-9}
"""Published sizes -> tolerance; the network amplifies rounding from step to step."""


def loaded(name: str, shared) -> tuple[dict, dict]:
    path = HERE / f"vmrnn_{name}.json"
    return load_fixture(path if path.exists() else shared(f"parity/vmrnn/{name}.json"))


@pytest.fixture(params=SMALL)
def reference(request, shared):
    return loaded(f"small_{request.param}", shared)


def built(fixture: dict, compat: str | None) -> nn.Module:
    """Our predictor of a fixture's configuration with its weights, in float64 and eval mode."""
    options = dict(fixture["hyper_parameters"])
    options["frames_out"] = options.pop("aft_seq_length")
    predictor = predcnn.create_predictor("vmrnn", compat=compat, **options)
    return predcnn.load_openstl_weights(predictor, published_state(fixture)).double().eval()


def past_of(fixture: dict) -> torch.Tensor:
    frames = fixture["hyper_parameters"]["in_shape"][0]
    return published_input(fixture)[:, :frames].double()


def distance64(output: torch.Tensor, arrays: dict) -> float:
    """Largest difference from the stored float64 output."""
    wide = {"output_shape": arrays["output_shape"]}
    if "output64" in arrays:
        wide["output"] = arrays["output64"]
    else:
        wide |= {"output_idx": arrays["output_idx"], "output_values": arrays["output64_values"]}
    return distance(output, wide)


@torch.no_grad()
def assert_outputs(fixture: dict, arrays: dict, limit: float) -> None:
    published, ours = built(fixture, "openstl"), built(fixture, None)
    output = ours(past_of(fixture))
    assert distance64(output, arrays) <= limit
    assert torch.equal(published(past_of(fixture)), output)
    assert published_count(published) == published_count(ours) == fixture["num_parameters"]


@torch.no_grad()
def test_outputs(reference):
    fixture, arrays = reference
    assert_outputs(fixture, arrays, 1e-9)
    single = built(fixture, None).float()(past_of(fixture).float())
    noise = fixture["max_abs_diff_float32_vs_float64"]
    assert distance(single, arrays) <= max(1e-6, 10 * noise)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_outputs_at_published_size(name, shared):
    assert_outputs(*loaded(name, shared), LARGE[name])


def test_gradients(reference):
    fixture, arrays = reference
    if "grad_names" not in arrays:
        pytest.skip("this reference holds no gradients")
    model = built(fixture, "openstl").train()
    for part in model.modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0
    output = model(past_of(fixture))
    loss = (output - published_target(tuple(output.shape))).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["train_loss64"]), rel=1e-9)
    given = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    ours = predcnn.export_openstl_state_dict(model, given)
    names = arrays["grad_names"].tolist()
    for key, norm, probe in zip(names, arrays["grad_norm64"], arrays["grad_probe64"], strict=True):
        if np.isnan(norm):
            assert key not in ours, key
        else:
            assert ours[key].norm().item() == pytest.approx(norm, rel=1e-7), key
            assert gradient_probe(key, ours[key]) == pytest.approx(probe, abs=1e-7 * norm), key


def test_multiply_adds(reference):
    fixture, _ = reference
    past, *frame = fixture["hyper_parameters"]["in_shape"]
    counted = predcnn.profile(built(fixture, None), (past, *frame))
    assert counted.macs_published == pytest.approx(fixture["flops_one_sample"], rel=1e-3)
    assert counted.macs > counted.macs_published  # fvcore does not count the scans


def test_stochastic_depth_rises_as_in_the_reference_code(reference):
    fixture, _ = reference
    model = built(fixture, None)
    given = dict(fixture["drop_nonzero_before_zeroing"])
    names = key_map(model).names
    rates = {}
    for path, part in model.named_modules():
        if isinstance(part, DropPath) and part.drop_prob:
            published = names[path.replace("drop_path", "norm.weight")]
            rates[published.replace("ln_1.weight", "drop_path")] = part.drop_prob
    assert rates == pytest.approx(given)


def test_export_inverts_loading_of_both_versions(reference):
    fixture, _ = reference
    state = published_state(fixture)
    exported = predcnn.export_openstl_state_dict(built(fixture, "openstl").float())
    assert set(exported) == set(state)
    assert all(torch.equal(value, state[key]) for key, value in exported.items())


@torch.no_grad()
def test_one_cell_loads_from_both_versions_of_the_code(shared):
    fixture, arrays = loaded("small_B_openstl", shared)
    options = dict(fixture["hyper_parameters"])
    options["frames_out"] = options.pop("aft_seq_length")
    state = published_state(fixture)
    listed = predcnn.create_predictor("vmrnn", **options | {"depths": (options["depths"],)})
    predcnn.load_openstl_weights(listed, state).double().eval()
    assert distance64(listed(past_of(fixture)), arrays) <= 1e-9
    renamed = {key.replace("ST.layer.", "ST.layers.0."): value for key, value in state.items()}
    assert set(predcnn.export_openstl_state_dict(listed)) < set(renamed)
    single = predcnn.load_openstl_weights(predcnn.create_predictor("vmrnn", **options), renamed)
    assert distance64(single.double().eval()(past_of(fixture)), arrays) <= 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 3}, "patch_size=3"),
        ({"patch_size": 4, "embed_dim": 24}, "embed_dim % 16"),
        ({"depths": ()}, "at least one block"),
        ({"depths_upsample": (2,)}, "differ in length"),
    ],
)
def test_wrong_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        predcnn.create_predictor("vmrnn", in_shape=(2, 1, 32, 32), **options)
