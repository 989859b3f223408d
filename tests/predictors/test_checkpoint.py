"""Checkpoints: what was saved is loaded, everything else is refused."""

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import predcnn
from predcnn.predictors import checkpoint

OPTIONS = {"hid_S": 8, "hid_T": 16, "N_S": 2, "N_T": 2, "mlp_ratio": 2.0}


def make(**options):
    options = {"translator": ["van", "swin"], **OPTIONS, **options}
    return predcnn.create_predictor("simvp", in_shape=(4, 1, 16, 16), frames_out=6, **options)


def lightning(predictor, prefix="predictor."):
    state = {f"{prefix}{key}": value for key, value in predictor.state_dict().items()}
    state["objective.weight"] = torch.zeros(1)
    about = {"config": predictor.config, "data": {"source": "generated"}}
    return {"state_dict": state, "predcnn": about, "epoch": 2, "pytorch-lightning_version": "2.5"}


@pytest.fixture
def past():
    return torch.rand(2, 4, 1, 16, 16)


@pytest.mark.parametrize("merged", [False, True])
@torch.no_grad()
def test_safetensors_round_trip(merged, past, tmp_path):
    predictor = make()
    predictor.train()(past)
    if merged:
        predictor.merge()
    path = predcnn.save_predictor(predictor, tmp_path / "new" / "model.safetensors")
    loaded = predcnn.load_predictor(path)
    assert not loaded.training
    assert loaded.merged == merged
    assert loaded.config == predictor.config
    assert torch.equal(loaded(past), predictor.eval()(past))
    assert os.listdir(path.parent) == ["model.safetensors"]


@pytest.mark.parametrize("prefix", ["predictor.", "predictor._orig_mod."])
@torch.no_grad()
def test_lightning_checkpoint(prefix, past, tmp_path):
    predictor = make().eval()
    torch.save(lightning(predictor, prefix), tmp_path / "last.ckpt")
    loaded = predcnn.load_predictor(str(tmp_path / "last.ckpt"), device="cpu")
    assert loaded.config == predictor.config
    assert torch.equal(loaded.predict(past), predictor.predict(past))


def test_a_run_directory_stands_for_its_best_checkpoint(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(lightning(make()), tmp_path / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(FileNotFoundError, match=r"best\.ckpt; closest there: last\.ckpt"):
        predcnn.load_predictor(tmp_path / "run")
    torch.save(lightning(make(hid_T=32)), tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert predcnn.load_predictor(tmp_path / "run").config["hid_T"] == 32
    assert checkpoint.read_description(str(tmp_path / "run"))["epoch"] == 2


def test_saving_is_all_or_nothing(tmp_path, monkeypatch):
    path = predcnn.save_predictor(make(), tmp_path / "model.safetensors")
    before = path.read_bytes()

    def breaks(part, content):
        part.write_text("half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "write_bytes", breaks)
        with pytest.raises(OSError, match="disk full"):
            predcnn.save_predictor(make(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
    with pytest.raises(ValueError, match=r"\.safetensors"):
        predcnn.save_predictor(make(), tmp_path / "model.pt")


def test_missing_and_damaged_files(tmp_path):
    torch.save(lightning(make()), tmp_path / "best.ckpt")
    with pytest.raises(FileNotFoundError, match=r"closest there: best\.ckpt"):
        predcnn.load_predictor(tmp_path / "bst.ckpt")
    content = (tmp_path / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(content[:5000])
    with pytest.raises(ValueError, match=r"cut\.ckpt cannot be read: it is damaged"):
        predcnn.load_predictor(tmp_path / "cut.ckpt")
    path = predcnn.save_predictor(make(), tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cannot be read: it is damaged"):
        predcnn.load_predictor(path)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"model.enc.weight": torch.zeros(1)}, "epoch": 1},
        {"enc.weight": torch.zeros(1)},
        {"state_dict": {}, "predcnn": {"config": 3}},
        {"state_dict": {}, "predcnn": {"config": {"name": "simvp"}}},
    ],
)
def test_files_of_others(content, tmp_path):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"scripts/import_weights\.py"):
        predcnn.load_predictor(tmp_path / "other.ckpt")


def test_safetensors_of_others(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"scripts/import_weights\.py"):
        predcnn.load_predictor(tmp_path / "other.safetensors")
    torch.save([1], tmp_path / "list.ckpt")
    with pytest.raises(ValueError, match="holds a list"):
        predcnn.load_predictor(tmp_path / "list.ckpt")


def test_weights_that_do_not_fit_their_configuration(tmp_path):
    content = lightning(make())
    key = "predictor.decoder.readout.bias"
    content["state_dict"]["predictor.decoder.readout.biass"] = content["state_dict"].pop(key)
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"1 missing:\n  decoder.readout.bias(.|\n)*1 unexpected"):
        predcnn.load_predictor(tmp_path / "last.ckpt")


class Payload:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


def test_code_is_never_run(tmp_path):
    torch.save({**lightning(make()), "extra": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match="never loaded"):
        predcnn.load_predictor(tmp_path / "evil.ckpt")


def test_metadata_is_plain_json(tmp_path):
    path = predcnn.save_predictor(make(), tmp_path / "model.safetensors")
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["predcnn"])
    assert about["config"]["translator"] == ["van", "swin"]
    assert about["config"]["in_shape"] == [4, 1, 16, 16]
