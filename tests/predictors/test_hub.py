"""Folders for the Hub: written, read, refused; a local folder replaces the Hub."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

import predcnn
from predcnn.predictors.baselines import CopyLast
from predcnn.predictors.simvp import SimVP

RESULTS = {
    "metrics": {"mse": 101.5, "psnr": None},
    "copy_last": {"metrics": {"mse": 270.25, "psnr": 12.0}},
    "definitions": {"mse": "sum over a frame", "psnr": "in dB"},
    "data": {
        "name": "moving_mnist", "split": "test", "sequences": {"test": 500},
        "fingerprint": "f" * 64, "protocol": "isolated", "source": "embedded",
    },
    "seed": 42,
    "checkpoint": {"step": 1400},
}  # fmt: skip


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    return predcnn.create_predictor(
        "simvp", in_shape=(2, 1, 8, 8), frames_out=3, hid_S=4, hid_T=8, N_S=2, N_T=2
    ).eval()


def test_a_saved_folder_loads_in_every_way(predictor, tmp_path):
    folder = predictor.save_pretrained(tmp_path / "model", results=RESULTS)
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
    }
    past = torch.rand(2, 2, 1, 8, 8)
    for found in (
        predcnn.load_predictor(folder),
        SimVP.from_pretrained(str(folder)),
        predcnn.load_predictor(folder / "model.safetensors"),
        predcnn.create_predictor(**json.loads((folder / "config.json").read_text())),
    ):
        assert found.config == predictor.config
        if not found.training:
            torch.testing.assert_close(found.predict(past), predictor.predict(past))
    with pytest.raises(TypeError, match="holds a SimVP, no CopyLast"):
        CopyLast.from_pretrained(folder)


def test_the_card_compares_results_with_copy_last(predictor, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    folder = predictor.save_pretrained(tmp_path / "model", results=tmp_path / "results.json")
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: predcnn\n")
    assert "| mse | 101.5000 | 270.2500 | sum over a frame |" in card
    assert "| psnr | inf | 12.0000 | in dB |" in card
    assert "test, 500 sequences, protocol isolated, embedded" in card
    assert f'load_predictor("{folder}")' in card
    assert "Not measured." in (predictor.save_pretrained(folder) / "README.md").read_text()
    with pytest.raises(ValueError, match="not the content of a results"):
        predictor.save_pretrained(tmp_path / "other", results={"mse": 3})
    assert not (tmp_path / "other").exists()


def test_a_folder_of_another_tool_needs_its_config_only(predictor, tmp_path):
    folder = predictor.save_pretrained(tmp_path / "model")
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")
    assert predcnn.load_predictor(folder).config == predictor.config


def test_what_does_not_fit_together_is_refused(predictor, tmp_path):
    folder = predictor.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for text, message in (
        (json.dumps({**config, "hid_T": 16}), "describes another predictor"),
        ("{", "is not JSON"),
        ("[1]", "describes another predictor"),
    ):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            predcnn.load_predictor(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
        predcnn.load_predictor(folder)


def test_a_model_on_the_hub_is_downloaded(predictor, tmp_path, monkeypatch):
    folder = predictor.save_pretrained(tmp_path / "model")
    asked = []

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options["revision"], options["allow_patterns"]))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.chdir(tmp_path)
    assert predcnn.load_predictor("someone/some.model@v1").config == predictor.config
    assert asked == [("someone/some.model", "v1", ["model.safetensors", "config.json"])]
    with pytest.raises(FileNotFoundError, match="there is no folder nowhere"):
        predcnn.load_predictor("nowhere/best.ckpt")
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError, match="no file here/gone"):
        predcnn.load_predictor("here/gone")
    assert len(asked) == 1, "a path of this machine was looked for on the Hub"


def test_an_unreachable_hub_is_an_error(monkeypatch, tmp_path):
    def offline(name: str, **options: object) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConnectionError, match="Hub cannot be reached"):
        predcnn.load_predictor("someone/model")


def test_an_upload_holds_the_folder(predictor, monkeypatch):
    sent = {}

    class Api:
        def create_repo(self, name: str, exist_ok: bool) -> None:
            sent["name"] = name

        def upload_folder(self, repo_id: str, folder_path: str) -> str:
            sent["files"] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
            return f"hub/{repo_id}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert predictor.push_to_hub("someone/model", results=RESULTS) == "hub/someone/model"
    assert sent["name"] == "someone/model"
    assert b'load_predictor("someone/model")' in sent["files"]["README.md"]
    assert set(sent["files"]) == {"model.safetensors", "config.json", "README.md"}
