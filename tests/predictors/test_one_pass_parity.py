"""PredFormer, WaST and MMVP against outputs, gradients and counts of the reference code."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import predcnn
from predcnn.ops import DropPath
from tests.predictors.one_pass_cases import HERE, published_options
from tests.predictors.published import (
    distance,
    gradient_probe,
    load_fixture,
    published_input,
    published_state,
    published_target,
)

PREDFORMER = "Full FacST FacTS BinaryST STS TST TSST t6_TSST_onehead TSST_rollout10"
SMALL = [f"predformer/small_{name}" for name in PREDFORMER.split()]
SMALL += ["wast/small", "wast/small_t6_3ch", "mmvp/small", "mmvp/small_rgb_one_out"]
LARGE = [
    *(f"predformer/mmnist_{name}" for name in ("Full24", "STS8", "STTS6", "TSST6")),
    "predformer/weather_t2m_FacTS4",
    "mmvp/mmnist",
]
REPAIRED = {"predformer/small_FacST", "mmvp/small_rgb_one_out"}
"""Fixtures whose output differs between the default and compat="openstl"."""


@pytest.fixture(params=SMALL, scope="module")
def reference(request, shared):
    return loaded(request.param, shared)


def loaded(case: str, shared) -> tuple[str, dict, dict]:
    """(case, JSON, arrays) from this folder or from the large files."""
    path = HERE / f"{case.replace('/', '_')}.json"
    return case, *load_fixture(path if path.exists() else shared(f"parity/{case}.json"))


def built(case: str, fixture: dict, arrays: dict, compat: str | None) -> nn.Module:
    """Our predictor of a fixture's configuration with its weights, in eval mode."""
    name = case.split("/")[0]
    options = published_options(name, fixture, arrays)
    predictor = predcnn.create_predictor(name, compat=compat, **options)
    return predcnn.load_openstl_weights(predictor, published_state(fixture)).eval()


def tolerance(fixture: dict, name: str | None = None) -> float:
    noise = fixture["max_abs_diff_float32_vs_float64"]
    if name is not None:
        noise = fixture["max_abs_diff_float32_vs_float64_other"][name]
    return max(1e-6 if name is None else 1e-8, 10 * noise)


def assert_outputs(case: str, fixture: dict, arrays: dict) -> None:
    with torch.no_grad():
        past = published_input(fixture)
        published = built(case, fixture, arrays, "openstl")(past)
        ours = built(case, fixture, arrays, None)(past)
    assert distance(published, arrays) <= tolerance(fixture)
    if case in REPAIRED:
        assert distance(ours, arrays) > 0.1
        assert distance(ours, arrays, "output_repaired") <= tolerance(fixture, "output_repaired")
    else:
        assert torch.equal(ours, published)


def test_outputs(reference):
    assert_outputs(*reference)


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE)
def test_outputs_and_counts_at_published_size(case, shared):
    case, fixture, arrays = loaded(case, shared)
    assert_outputs(case, fixture, arrays)
    assert_counts(case, fixture, arrays)


def test_gradients_in_float64(reference):
    case, fixture, arrays = reference
    if "grad_names" not in arrays:
        pytest.skip("this reference holds no gradients")
    predictor = built(case, fixture, arrays, "openstl").double()
    predictor.train(not fixture["grad_rule"].startswith("EVAL"))
    for part in predictor.modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0
    output = predictor(published_input(fixture).double())
    loss = (output - published_target(tuple(output.shape))).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["train_loss64"]), rel=1e-6)
    given = {key: p.grad for key, p in predictor.named_parameters() if p.grad is not None}
    ours = predcnn.export_openstl_state_dict(predictor, given)
    names = arrays["grad_names"].tolist()
    largest = np.nanmax(arrays["grad_norm64"])
    for key, norm, probe in zip(names, arrays["grad_norm64"], arrays["grad_probe64"], strict=True):
        if np.isnan(norm):
            assert key not in ours, key
        elif norm <= 1e-6 * largest:  # analytically zero or tiny
            assert ours[key].norm().item() <= 1e-5 * largest, key
        else:
            assert ours[key].norm().item() == pytest.approx(norm, rel=1e-5), key
            assert abs(gradient_probe(key, ours[key]) - probe) <= 1e-5 * norm, key
    assert set(ours) <= set(names)


def assert_counts(case: str, fixture: dict, arrays: dict) -> None:
    options = published_options(case.split("/")[0], fixture, arrays)
    shape = tuple(fixture["input_shape"][1:])
    for compat in (None, "openstl"):
        with torch.device("meta"):
            predictor = predcnn.create_predictor(case.split("/")[0], compat=compat, **options)
        counted = predcnn.profile(predictor, shape)
        assert counted.params_published == fixture["num_parameters"]
        assert counted.macs_published == pytest.approx(fixture["flops_one_sample"], rel=2e-3)


def test_counts(reference):
    assert_counts(*reference)


def test_export_inverts_loading(reference):
    case, fixture, arrays = reference
    state = published_state(fixture)
    kept = {key for key, _, _, kind, *_ in fixture["state_dict"] if kind == "kept"}
    exported = predcnn.export_openstl_state_dict(built(case, fixture, arrays, "openstl"))
    assert set(state) - set(exported) <= kept
    for key, value in exported.items():
        assert key in kept or torch.equal(value, state[key]), key


INNER = {
    "wast": {
        "emb": ("wavelet_embed1", lambda out: out[0]),
        "bottleneck": ("bottleneck_translator", lambda out: out),
        "recon": ("wavelet_recon1", lambda out: out),
    },
    "mmvp": {
        "matrix_pred": ("matrices.predictor", lambda out: out),
        "matrix_hi": ("matrices", lambda out: torch.cat(out[0], dim=1)),
        "matrix_lo": ("matrices", lambda out: torch.cat(out[1], dim=1)),
        "decoded": ("dec", lambda out: out),
    },
}
"""Stored values between the layers: name -> (module, its output in the stored form)."""


@torch.no_grad()
def test_values_between_the_layers(reference):
    case, fixture, arrays = reference
    inner = INNER.get(case.split("/")[0])
    if inner is None:
        pytest.skip("this reference holds no inner values")
    predictor, seen = built(case, fixture, arrays, None), {}
    for name, (path, form) in inner.items():
        predictor.get_submodule(path).register_forward_hook(
            lambda module, args, out, name=name, form=form: seen.update({name: form(out)})
        )
    predictor(published_input(fixture))
    for name, value in seen.items():
        assert distance(value, arrays, name) <= tolerance(fixture, name), name


def test_scrambled_tokens_of_facst_are_those_of_the_repaired_form(shared):
    case, fixture, arrays = loaded("predformer/small_FacST", shared)
    predictors = [built(case, fixture, arrays, compat) for compat in (None, "openstl")]
    seen: list[torch.Tensor] = []
    for predictor in predictors:
        predictor.head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        with torch.no_grad():
            predictor(published_input(fixture))
    repaired, scrambled = seen  # (B, T, N, d)
    assert torch.equal(scrambled.flatten(1, 2), repaired.transpose(1, 2).flatten(1, 2))


PREDFORMER_SIZES = {
    ("tsst", 6): 25_297_728,
    ("stts", 6): 25_297_728,
    ("tst", 8): 25_297_728,
    ("sts", 8): 25_297_728,
    ("binaryst", 12): 25_297_728,
    ("binaryts", 12): 25_297_728,
    ("full", 24): 25_285_952,
    ("facst", 12): 25_286_464,
    ("facts", 12): 25_286_464,
    ("tsst", 8): 33_719_000,
    ("tsst", 2): 8_455_000,
}


@pytest.mark.parametrize(("variant", "depth"), PREDFORMER_SIZES)
def test_parameters_of_every_predformer(variant, depth):
    with torch.device("meta"):
        predictor = predcnn.create_predictor(
            "predformer", in_shape=(10, 1, 64, 64), variant=variant, depth=depth
        )
    count = sum(p.numel() for p in predictor.parameters())
    assert count == pytest.approx(PREDFORMER_SIZES[variant, depth], abs=500)


@pytest.mark.parametrize("name", ["patch_size", "dim", "depth", "stack_depth"])
def test_sizes_of_predformer_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} is a whole number, at least 1, not 0"):
        predcnn.create_predictor("predformer", in_shape=(3, 1, 16, 16), **{name: 0})


def test_positions_grow_with_the_frame():
    small = predcnn.create_predictor("predformer", in_shape=(3, 1, 16, 16), dim=32, depth=1).eval()
    large = predcnn.create_predictor("predformer", in_shape=(3, 1, 24, 40), dim=32, depth=1).eval()
    large.load_state_dict(small.state_dict())
    past = torch.rand(1, 3, 1, 24, 40)
    with torch.no_grad():
        assert torch.equal(small(past), large(past))
        assert torch.equal(copy.deepcopy(small).predict(past), large(past))
