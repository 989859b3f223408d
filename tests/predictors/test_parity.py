"""SimVP with every published translator against reference outputs."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import predcnn
from predcnn.ops import DropPath
from predcnn.translators.meta import drop_path_schedule
from tests.predictors.published import (
    DATA,
    distance,
    gradient_probe,
    load_fixture,
    published_input,
    published_state,
    published_target,
    tolerance,
)

OURS = {"moga": "moganet"}  # one name differs in OpenSTL
KEPT_HERE = sorted(path.stem for path in DATA.glob("small_*.json"))
SMALL = [
    "convmixer",
    "convnext",
    "gsta",
    "hornet",
    "incepu",
    "mlpmixer",
    "moga",
    "poolformer",
    "rgb_convmixer",
    "rgb_convnext",
    "rgb_gsta",
    "rgb_poolformer",
    "rgb_van",
    "rgb_vit",
    "swin",
    "tau",
    "uniformer",
    "van",
    "vit",
]
ELSEWHERE = [f"simvp_small/small_{name}" for name in SMALL if f"small_{name}" not in KEPT_HERE]
FULL = [f"simvp_full/mmnist_{name}" for name in ("convnext", "gsta", "moga", "vit")]

# published Moving MNIST size, one channel: parameters, multiply-adds without norms in G
PUBLISHED_SIZE = {
    "convmixer": 3_919_361,
    "convnext": 37_313_921,
    "gsta": 46_769_665,
    "hornet": 45_738_305,
    "incepu": 57_946_113,
    "mlpmixer": 38_192_449,
    "moganet": 46_777_065,
    "poolformer": 37_115_393,
    "swin": 46_105_409,
    "tau": 44_656_001,
    "uniformer": 44_834_817,
    "van": 44_520_833,
    "vit": 46_102_273,
}


def built(fixture: dict) -> torch.nn.Module:
    """Our predictor of a fixture's configuration."""
    options = dict(fixture["hyper_parameters"])
    name = fixture["model_type"].lower()
    return predcnn.create_predictor(
        "simvp",
        in_shape=options.pop("in_shape"),
        translator=OURS.get(name, name),
        mlp_ratio=fixture["mlp_ratio"],
        **options,
    )


@pytest.fixture(params=[*KEPT_HERE, *ELSEWHERE, *FULL], scope="module")
def reference(request, shared):
    """(fixture, arrays, predictor with the published weights), one of the stored cases."""
    name = request.param
    path = DATA / name if name in KEPT_HERE else shared(f"parity/{name}.json")
    fixture, arrays = load_fixture(Path(path))
    predictor = predcnn.load_openstl_weights(built(fixture), published_state(fixture))
    return fixture, arrays, predictor


def test_parameter_count(reference):
    fixture, _, predictor = reference
    assert sum(p.numel() for p in predictor.parameters()) == fixture["num_parameters"]


def test_multiply_adds(reference):
    fixture, _, predictor = reference
    profile = predcnn.profile(predictor, tuple(fixture["input_shape"][1:]))
    assert profile.params == profile.params_published == fixture["num_parameters"]
    assert profile.macs_published == pytest.approx(fixture["flops_one_sample"], rel=5e-3)


def test_eval_output(reference):
    fixture, arrays, predictor = reference
    seen = {}
    hooks = [
        predictor.encoder.register_forward_hook(lambda m, x, y: seen.update(enc=y[0])),
        predictor.translator.register_forward_hook(lambda m, x, y: seen.update(hid=y)),
    ]
    with torch.no_grad():
        output = predictor.eval()(published_input(fixture))
    for hook in hooks:
        hook.remove()
    limit = tolerance(fixture)
    assert distance(output, arrays) <= limit
    assert distance(seen["enc"], arrays, "enc") <= limit * max(1.0, float(arrays["enc_std"]))
    latent = seen["hid"].unflatten(1, (fixture["input_shape"][1], -1))
    assert distance(latent, arrays, "hid") <= limit * max(1.0, float(arrays["hid_std"]))


def test_gradients(reference):
    """In float64: single probes of float32 gradients differ by a thousandth between processors."""
    fixture, arrays, predictor = reference
    if "grad_names" not in arrays:
        pytest.skip("this reference holds no gradients")
    predictor = copy.deepcopy(predictor)  # running statistics change in train mode
    for part in predictor.double().train().modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0
    output = predictor(published_input(fixture).double())
    loss = (output - published_target(tuple(output.shape))).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["train_loss64"]), rel=1e-7)
    assert distance(output, arrays, "train_output") <= tolerance(fixture)
    ours = {key: parameter.grad for key, parameter in predictor.named_parameters()}
    gradients = predcnn.export_openstl_state_dict(predictor, ours)
    assert set(gradients) == set(arrays["grad_names"].tolist())
    norms = dict(zip(arrays["grad_names"].tolist(), arrays["grad_norm64"], strict=True))
    probes = dict(zip(arrays["grad_names"].tolist(), arrays["grad_probe64"], strict=True))
    largest = np.nanmax(arrays["grad_norm64"])
    for key, gradient in gradients.items():
        norm = gradient.double().norm().item()
        if norms[key] <= 1e-6 * largest:  # analytically zero, such as a bias before a batch norm
            assert norm <= 1e-5 * largest, key
            continue
        assert norm == pytest.approx(norms[key], rel=1e-6), key
        assert abs(gradient_probe(key, gradient) - probes[key]) <= 1e-6 * norms[key], key


def test_export_inverts_loading(reference):
    fixture, _, predictor = reference
    published = published_state(fixture)
    exported = predcnn.export_openstl_state_dict(predictor)
    kept = {row[0] for row in fixture["state_dict"] if row[3] == "kept"}
    assert set(published) - set(exported) <= {k for k in kept if "num_batches" not in k}
    for key, tensor in exported.items():
        assert tensor.shape == published[key].shape, key
        assert torch.equal(tensor, published[key]), key


def test_schedule_of_stochastic_depth(reference):
    fixture, _, predictor = reference
    if "drop_path_nonzero_before_zeroing" not in fixture:
        pytest.skip("this reference holds no rates")
    given = {
        key.removeprefix("hid.enc.").split(".")[0]: rate
        for key, rate in fixture["drop_path_nonzero_before_zeroing"]
    }
    rates = {}
    for path, part in predictor.named_modules():
        if isinstance(part, DropPath) and part.drop_prob > 0:
            rates[path.removeprefix("translator.stages.").split(".")[0]] = part.drop_prob
    assert rates == pytest.approx(given)


@pytest.mark.parametrize("frames_out", [3, 4, 8, 10])
def test_longer_and_shorter_horizons(frames_out, shared):
    with np.load(shared("parity/extras.npz")) as stored:
        arrays = dict(stored)
    fixture, _ = load_fixture(DATA / "small_gsta")
    predictor = predcnn.create_predictor(
        "simvp", frames_out=frames_out, **fixture["hyper_parameters"]
    )
    predcnn.load_openstl_weights(predictor, published_state(fixture)).eval()
    past = published_input(fixture)
    with torch.no_grad():
        assert distance(predictor(past), arrays, f"rollout_aft{frames_out}") <= tolerance(fixture)


def test_published_schedules(shared):
    stored = json.loads(shared("parity/extras.json").read_text())["dpr_note"]
    for depth, rates in stored.items():
        assert drop_path_schedule(int(depth), 0.0) == pytest.approx(rates)
    assert drop_path_schedule(4, 0.3) == pytest.approx([0.01, 0.32 / 3, 0.61 / 3, 0.3])


@pytest.mark.parametrize("name", PUBLISHED_SIZE)
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_at_published_size(name, channels):
    with torch.device("meta"):
        predictor = predcnn.create_predictor(
            "simvp", in_shape=(10, channels, 64, 64), translator=name
        )
    count = sum(p.numel() for p in predictor.parameters())
    assert count == PUBLISHED_SIZE[name] + (1282 if channels == 3 else 0)
