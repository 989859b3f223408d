"""Weights of OpenSTL: all forms of files, errors, and export."""

import argparse

import pytest
import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import OneCycleLR

import predcnn
from predcnn.predictors.protocol import Predictor
from predcnn.weights.files import KeyMismatchError
from predcnn.weights.published import key_map
from tests.predictors.published import DATA, load_fixture, published_input, published_state

NAMES = {"small_gsta": "gsta", "small_moga": "moganet", "small_rgb_vit": "vit"}


@pytest.fixture(params=NAMES)
def case(request):
    """(function that builds a predictor, published state dict, input)."""
    fixture, _ = load_fixture(DATA / request.param)
    options = {**fixture["hyper_parameters"], "translator": NAMES[request.param]}
    return (
        lambda: predcnn.create_predictor("simvp", **options).eval(),
        published_state(fixture),
        published_input(fixture),
    )


def wrapped(state, form):
    if form == "lightning":
        state = {f"model.{key}": value for key, value in state.items()}
        return {"epoch": 3, "state_dict": state, "hyper_parameters": {"lr": 0.1, "method": "simvp"}}
    if form == "v0.3 latest":
        kept = {"last_epoch": 5, "anneal_func": OneCycleLR._annealing_cos}
        return {"epoch": 3, "optimizer": {"state": {}}, "state_dict": state, "scheduler": kept}
    if form == "ddp":
        return {f"module.{key}": value for key, value in state.items()}
    if form == "ddp in lightning":
        return {"state_dict": {f"model.module.{key}": value for key, value in state.items()}}
    return state


FORMS = ["raw", "lightning", "v0.3 latest", "ddp", "ddp in lightning"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file(case, form, tmp_path):
    make, state, _ = case
    torch.save(wrapped(state, form), tmp_path / "weights.pth")
    expected = predcnn.load_openstl_weights(make(), state).state_dict()
    loaded = predcnn.load_openstl_weights(make(), tmp_path / "weights.pth").state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def test_safetensors(case, tmp_path):
    make, state, x = case
    save_file(state, tmp_path / "weights.safetensors")
    with torch.no_grad():
        expected = predcnn.load_openstl_weights(make(), state)(x)
        loaded = predcnn.load_openstl_weights(make(), str(tmp_path / "weights.safetensors"))(x)
    assert torch.equal(loaded, expected)


def test_names_of_the_moganet_repository():
    fixture, _ = load_fixture(DATA / "small_moga")
    options = {**fixture["hyper_parameters"], "translator": "moganet"}
    state = published_state(fixture)
    other = {k.replace(".sigma", ".sigma.scale"): v for k, v in state.items()}
    assert other.keys() != state.keys()
    first, second = (
        predcnn.load_openstl_weights(predcnn.create_predictor("simvp", **options), s).state_dict()
        for s in (state, other)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def swin():
    return predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 16, 16), translator="swin", hid_S=8, hid_T=16, N_S=2, N_T=2
    )


def test_buffers_of_old_timm_versions():
    state = predcnn.export_openstl_state_dict(swin())
    state["hid.enc.1.block.attn_mask"] = torch.zeros(4, 16, 16)
    for i in range(2):
        index = torch.zeros(16, 16, dtype=torch.long)
        state[f"hid.enc.{i}.block.attn.relative_position_index"] = index
    predcnn.load_openstl_weights(swin(), state)
    state["hid.enc.1.block.attn_masks"] = torch.zeros(4)
    with pytest.raises(ValueError, match="attn_masks"):
        predcnn.load_openstl_weights(swin(), state)


def test_batch_counters_may_be_absent(case):
    make, state, _ = case
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    predcnn.load_openstl_weights(make(), state)


def test_everything_wrong_is_reported_at_once(case):
    make, state, _ = case
    gone, *_, odd = [key for key in state if key.startswith("hid.") and "weight" in key]
    state[gone + "s"] = state.pop(gone)
    shape = tuple(state[odd].shape)
    state[odd] = state[odd].new_zeros(*shape, 2)
    predictor = make()
    before = {key: value.clone() for key, value in predictor.state_dict().items()}
    with pytest.raises(KeyMismatchError) as caught:
        predcnn.load_openstl_weights(predictor, state)
    error = caught.value
    assert error.missing == [gone]
    assert error.unexpected == [gone + "s"]
    assert error.misshaped == [(odd, (*shape, 2), shape)]
    assert f"{gone}s (closest missing: {gone})" in str(error)
    assert f"{odd} is {(*shape, 2)}, expected {shape}" in str(error)
    after = predictor.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_weights_of_another_architecture():
    fixture, _ = load_fixture(DATA / "small_gsta")
    other = predcnn.create_predictor(
        "simvp", **{**fixture["hyper_parameters"], "translator": "convnext"}
    )
    with pytest.raises(ValueError, match=r"missing(.|\n)*unexpected(.|\n)*more"):
        predcnn.load_openstl_weights(other, published_state(fixture))


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def test_code_is_never_run(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {"x": Payload()}}, path)
    with pytest.raises(ValueError, match="never loaded"):
        predcnn.load_openstl_weights(swin(), path)


def test_bad_files(tmp_path):
    good = tmp_path / "good.pth"
    torch.save(predcnn.export_openstl_state_dict(swin()), good)
    content = good.read_bytes()
    for name, data in {
        "cut.pth": content[: len(content) // 2],
        "empty.pth": b"",
        "text.pth": b"hi",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name} cannot be read: it is damaged"):
            predcnn.load_openstl_weights(swin(), tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"closest there: .*good\.pth"):
        predcnn.load_openstl_weights(swin(), tmp_path / "god.pth")
    with pytest.raises(FileNotFoundError, match="no folder"):
        predcnn.load_openstl_weights(swin(), tmp_path / "nowhere" / "good.pth")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        predcnn.load_openstl_weights(swin(), tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list, not a state dict"):
        predcnn.load_openstl_weights(swin(), tmp_path / "list.pth")
    with pytest.raises(ValueError, match="'epoch' is int"):
        predcnn.load_openstl_weights(swin(), {"epoch": 3})
    (tmp_path / "cut.safetensors").write_bytes(b"123456789")
    with pytest.raises(ValueError, match="damaged"):
        predcnn.load_openstl_weights(swin(), tmp_path / "cut.safetensors")


def test_files_may_hold_arguments_of_the_trainer(tmp_path):
    state = predcnn.export_openstl_state_dict(swin())
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": argparse.Namespace(lr=0.1)}, path)
    predcnn.load_openstl_weights(swin(), path)


@pytest.mark.parametrize("name", predcnn.list_translators())
def test_round_trip_of_every_translator(name):
    def make():
        return predcnn.create_predictor(
            "simvp", in_shape=(4, 1, 16, 16), translator=name, hid_S=8, hid_T=64, N_S=2, N_T=3
        )

    predictor = make()
    exported = predcnn.export_openstl_state_dict(predictor)
    assert len(exported) == len(predictor.state_dict())
    assert sum(v.numel() for v in exported.values()) == sum(
        v.numel() for v in predictor.state_dict().values()
    )
    other = predcnn.load_openstl_weights(make(), exported).state_dict()
    assert all(torch.equal(other[key], value) for key, value in predictor.state_dict().items())


def test_export_maps_other_values_too():
    predictor = swin()
    table = "translator.stages.0.block.attn.offset_bias"
    mapped = predcnn.export_openstl_state_dict(predictor, {table: torch.ones(49, 8)})
    assert list(mapped) == ["hid.enc.0.block.attn.relative_position_bias_table"]
    with pytest.raises(KeyError, match="no such"):
        predcnn.export_openstl_state_dict(predictor, {"no such": torch.ones(1)})


def test_merged_predictors_have_no_published_form():
    merged = swin().merge()
    with pytest.raises(ValueError, match="merged"):
        predcnn.export_openstl_state_dict(merged)
    with pytest.raises(ValueError, match="merged"):
        predcnn.load_openstl_weights(merged, {})


class Inner(torch.nn.Module):
    openstl_keys = {"scale": "s", "conv.weight": "w"}  # noqa: RUF012
    openstl_ndim = {"scale": 4, "conv.weight": 2}  # noqa: RUF012
    openstl_aliases = {"s.old": "s"}  # noqa: RUF012
    unused_openstl_keys = ("dead",)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.arange(3.0))
        self.conv = torch.nn.Conv2d(3, 5, 1)


class Outer(Predictor):
    openstl_keys = {"body.inner": "a.b", "body": ""}  # noqa: RUF012
    openstl_repeats = {"copy": "body.inner.conv"}  # noqa: RUF012

    def __init__(self, in_shape, frames_out=None, *, compat=None):
        super().__init__(in_shape, frames_out, compat=compat)
        self.body = torch.nn.Module()
        self.body.inner = Inner()
        self.body.head = torch.nn.Linear(2, 2)


def test_names_compose_from_what_the_classes_declare():
    outer = Outer((1, 1, 1, 1))
    keys = key_map(outer)
    assert keys.names == {
        "body.inner.scale": "a.b.s",
        "body.inner.conv.weight": "a.b.w",
        "body.inner.conv.bias": "a.b.conv.bias",
        "body.head.weight": "head.weight",
        "body.head.bias": "head.bias",
    }
    assert keys.shapes["body.inner.scale"] == (1, 3, 1, 1)
    assert keys.shapes["body.inner.conv.weight"] == (5, 3)
    assert keys.unused == ["a.b.dead"]
    assert keys.aliases == {"a.b.s.old": "a.b.s"}
    exported = predcnn.export_openstl_state_dict(outer)
    assert torch.equal(exported["copy.bias"], outer.body.inner.conv.bias)
    assert torch.equal(exported["copy.weight"], exported["a.b.w"])
    exported["a.b.s.old"] = exported.pop("a.b.s") + 1
    exported["a.b.dead.weight"] = torch.zeros(7)
    predcnn.load_openstl_weights(outer, exported)
    assert outer.body.inner.scale.tolist() == [1, 2, 3]
