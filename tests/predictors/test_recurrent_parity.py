"""The recurrent predictors against reference outputs and counts of the reference code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import predcnn
from predcnn.ops import DropPath
from tests.predictors.published import (
    distance,
    gradient_probe,
    load_fixture,
    published_input,
    published_state,
    published_target,
    tolerance,
)
from tests.predictors.recurrent_cases import truth_up_to

HERE = Path(__file__).parent / "data_recurrent"
SMALL = [
    *("ConvLSTM", "E3DLSTM", "MAU", "MIM", "PhyDNet", "PredRNN", "PredRNNpp", "PredRNNv2"),
    *("SwinLSTM-D", "rgb_MAU_recall", "rgb_PhyDNet", "rss_PredRNN"),
]
FULL = ("mmnist_ConvLSTM", "mmnist_PredRNN")
# a default that computes something else than the published code, with all else equal
REPAIRED = {"e3dlstm"}
OPTIONS = [
    *("num_hidden", "filter_size", "stride", "patch_size", "layer_norm", "sr_size", "tau"),
    *("cell_mode", "model_mode", "depths_downsample", "depths_upsample", "num_heads"),
    *("window_size", "embed_dim"),
]

# Moving MNIST and MMNIST-CIFAR, 10 -> 10 frames of 64x64: parameters, multiply-adds without norms
# in G for ten steps of input and nine of output; PredNet's and DMVFN's are published per frame
PUBLISHED = {
    "convlstm": ((15_083_520, 56.79), (15_497_216, 58.80)),
    "convlstm-l": ((33_782_784, 127.02), (34_403_328, 130.04)),
    "predrnn": ((23_838_720, 115.95), (24_559_616, 119.46)),
    "predrnnpp": ((38_584_320, 171.74), (39_305_216, 175.24)),
    "predrnnv2": ((23_855_104, 116.59), (24_576_000, 120.10)),
    "mim": ((38_043_648, 179.18), (38_764_544, 182.68)),  # without the discarded MIM-N at step 0
    "e3dlstm": ((51_347_456, 298.84), (52_789_248, 305.86)),
    "mau": ((4_483_588, 17.74), (4_483_864, 17.76)),
    "phydnet": (
        (3_091_732, 15.30),
        (3_092_886, 15.32),
    ),  # without two decodings only to be looked at
    "prednet": ((12_510_842, None), (12_515_244, None)),
    "dmvfn": ((3_522_922, None), (3_559_930, None)),
}


@pytest.fixture
def fixture(request, shared):
    """(JSON, arrays) of a small reference output, from this folder or from the large files."""
    path = HERE / f"small_{request.param}.json"
    if not path.exists():
        path = shared(f"parity/recurrent_small/small_{request.param}.json")
    return load_fixture(path)


def name_of(fixture: dict) -> str:
    return fixture["method"].lower().removesuffix("-d")


def created(fixture: dict, compat: str | None) -> nn.Module:
    """Our predictor of a fixture's configuration."""
    given, name = fixture["config"], name_of(fixture)
    options = {key: given[key] for key in OPTIONS if key in given}
    for key, value in options.items():
        if isinstance(value, str) and value[0].isdigit():
            options[key] = tuple(int(n) for n in value.split(","))
    if name == "mau":
        del options["layer_norm"]  # the published model ignores it
    shape = given["in_shape"]
    return predcnn.create_predictor(name, in_shape=shape, compat=compat, **options)


def built(fixture: dict, compat: str | None, state: dict[str, Tensor] | None = None) -> nn.Module:
    """The same with the published weights, in eval mode."""
    state = published_state(fixture) if state is None else state
    return predcnn.load_openstl_weights(created(fixture, compat), state).eval()


def published_count(model: nn.Module) -> int:
    unused = sum(getattr(part, "unused_published_params", 0) for part in model.modules())
    return sum(p.numel() for p in model.parameters()) + unused


def past_and_truth(fixture: dict) -> tuple[Tensor, Tensor, Tensor]:
    frames, T = published_input(fixture), fixture["config"]["in_shape"][0]
    return frames[:, :T], frames, truth_up_to(T, len(frames), frames.shape[1] - 1)


@pytest.mark.parametrize("fixture", SMALL, indirect=True)
@torch.no_grad()
def test_outputs(fixture) -> None:
    config, arrays = fixture
    state = published_state(config)
    past, frames, use_truth = past_and_truth(config)
    published, ours = built(config, "openstl", state), built(config, None, state)
    assert published_count(published) == published_count(ours) == config["num_parameters"]
    assert distance(published(past), arrays) <= tolerance(config)
    first = distance(ours(past), arrays)
    if name_of(config) in REPAIRED:
        assert first > 100 * tolerance(config)
        ours = published
    else:
        assert first <= tolerance(config)
    if "full_output_shape" in arrays:
        full, _ = ours.unroll(frames, use_truth)
        assert distance(full, arrays, "full_output") <= tolerance(config)

    kept = {key for key, _, _, kind, *_ in config["state_dict"] if kind == "kept"}
    exported = predcnn.export_openstl_state_dict(published)
    assert set(state) - kept <= set(exported)
    for key, value in exported.items():
        assert key in kept or torch.equal(value, state[key]), key


@pytest.mark.parametrize("fixture", ["MIM"], indirect=True)
@torch.no_grad()
def test_mim_leaks_its_state_only_with_compat(fixture) -> None:
    config, arrays = fixture
    past, _, _ = past_and_truth(config)
    leaking, repaired = built(config, "openstl"), built(config, None)
    leaking(past)
    assert distance(leaking(past), arrays, "output_second_call") <= tolerance(config)
    with pytest.raises(ValueError, match="keeps a state of 2 samples"):
        leaking(past[:1].expand(3, -1, -1, -1, -1))
    repaired(past)
    assert distance(repaired(past), arrays) <= tolerance(config)
    assert distance(repaired(past), arrays, "output_second_call") > 100 * tolerance(config)


@pytest.mark.parametrize(
    "fixture", [n for n in SMALL if n not in ("rss_PredRNN", "PhyDNet")], indirect=True
)
def test_gradients(fixture) -> None:
    config, arrays = fixture
    model = built(config, "openstl").train()
    for part in model.modules():
        if isinstance(part, DropPath):
            part.drop_prob = 0.0
    past, _, use_truth = past_and_truth(config)
    target = published_target(tuple(past.shape))
    if name_of(config) == "phydnet":  # all one-step predictions, and the moments
        frames = torch.cat([past, target], dim=1)
        predictions, extras = model.unroll(frames, use_truth)
        errors = (predictions - frames[:, 1:]).square().mean(dim=(0, 2, 3, 4))
        loss = errors.sum() + extras["moments"]
    else:
        loss = (model(past) - target).square().mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays["train_loss"]), rel=1e-5)
    given = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    ours = predcnn.export_openstl_state_dict(model, given)
    largest = np.nanmax(arrays["grad_norm"])
    stored = zip(arrays["grad_names"], arrays["grad_norm"], arrays["grad_probe"], strict=True)
    for key, norm, probe in stored:
        if np.isnan(norm) or norm == 0:
            assert str(key) not in ours or not ours[str(key)].any()
        elif norm > 1e-6 * largest:
            gradient = ours[str(key)]
            assert float(gradient.norm()) == pytest.approx(norm, rel=1e-3), key
            assert gradient_probe(str(key), gradient) == pytest.approx(probe, abs=1e-3 * norm), key


@pytest.mark.parametrize("fixture", [n for n in SMALL if "rss" not in n], indirect=True)
def test_published_multiply_adds(fixture) -> None:
    config, _ = fixture
    with torch.device("meta"):
        model = created(config, None)
    counted = predcnn.profile(model, tuple(config["config"]["in_shape"]))
    assert counted.macs_published == pytest.approx(config["flops_one_sample"], rel=0.01)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_size(name: str) -> None:
    size = {"num_hidden": (192,) * 4} if name.endswith("-l") else {}
    for channels, (params, macs) in zip((1, 3), PUBLISHED[name], strict=True):
        shape = (10, channels, 64, 64)
        for compat in (None, "openstl"):
            with torch.device("meta"):
                model = predcnn.create_predictor(
                    name.removesuffix("-l"), in_shape=shape, compat=compat, **size
                )
            assert published_count(model) == params
        if macs is not None:
            counted = predcnn.profile(model, shape)
            assert counted.macs_published == pytest.approx(macs * 1e9, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
@torch.no_grad()
def test_outputs_at_published_size(name: str, shared) -> None:
    config, arrays = load_fixture(shared(f"parity/recurrent_full/{name}.json"))
    model = built(config, None)
    _, frames, use_truth = past_and_truth(config)
    full, _ = model.unroll(frames, use_truth)
    assert distance(full, arrays, "full_output") <= tolerance(config)
    assert distance(full[:, -model.frames_out :], arrays) <= tolerance(config)
