"""Commands from a directory without data, on a moved run and on weights that ship."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from predcnn import load_predictor
from predcnn.app.analyze import analyze
from predcnn.app.demo import EXAMPLE, _checkpoints, predicted
from predcnn.app.evaluate import evaluate
from predcnn.app.export import export
from predcnn.app.predict import predict
from predcnn.app.run_directory import run_to_resume
from predcnn.app.saved_run import data_of, load_run
from predcnn.app.train import train
from predcnn.data import create_datamodule
from predcnn.weights.pretrained import FOLDER, list_pretrained
from tests.app.test_train import command_cfg, results

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")
SHIPPED = "pretrained/simvp_moganet_moving_mnist"


@pytest.fixture
def moved(tiny_cfg, tmp_path, monkeypatch) -> Path:
    """A run of a directory without data, moved; the working directory is another, empty one."""
    for name in ("here", "there", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(tiny_cfg(*NET, "data.source=auto", run_dir=Path("run")))
    monkeypatch.chdir(tmp_path / "there")
    return Path(shutil.move(tmp_path / "here/run", tmp_path / "elsewhere/run"))


def every_command(place: str) -> None:
    evaluate(command_cfg("evaluate", f"ckpt_path={place}", "output=."))
    predict(command_cfg("predict", f"ckpt_path={place}", "sequences=1", "formats=[png]"))
    export(command_cfg("export", f"ckpt_path={place}", "format=torch_export", "sequences=1"))
    analyze(command_cfg("analyze", "kind=erf", f"models={place}", "count=1", "leads=[1]"))
    run = load_run(place)
    assert len(predicted(run, EXAMPLE, 1, None, None, 3).truth) == 3


def test_every_command_works_on_a_moved_run(moved):
    before = results(moved)
    every_command(str(moved))
    assert results(Path())["metrics"] == before["metrics"]
    saved = torch.load(moved / "checkpoints/best.ckpt", weights_only=True)["predcnn"]["run"]["data"]
    assert (saved["root"], saved["source"]) == ("datasets", "embedded")
    assert (moved / "predictions/sequence_000.png").exists()
    assert (moved / "export").exists()


def test_a_run_of_an_older_version_works_too(moved):
    path = moved / "checkpoints/best.ckpt"
    saved = torch.load(path, weights_only=True)
    saved["predcnn"]["run"]["data"] |= {"root": "/nowhere/datasets", "source": "auto"}
    torch.save(saved, path)
    evaluate(command_cfg("evaluate", f"ckpt_path={path}", "output=."))
    assert results(Path())["metrics"] == results(moved)["metrics"]
    saved["predcnn"]["run"]["data_fingerprint"] = "0" * 64  # it had read files
    torch.save(saved, path)
    with pytest.raises(ValueError, match="not those of the run"):
        data_of(load_run(str(path)), None)


def test_a_run_is_resumed_where_it_was_moved(moved, tiny_cfg):
    identity = json.loads((moved / "run.json").read_text())
    (moved / "run.json").write_text(json.dumps({**identity, "finished": False}))
    cfg = tiny_cfg(*NET, "data.source=auto", "resume=true", run_dir=moved)
    assert run_to_resume(cfg) == moved


def test_a_folder_with_files_is_not_embedded(tmp_path):
    assert create_datamodule("moving_mnist", root=tmp_path).family.embedded
    for file in ("mnist/train-images-idx3-ubyte", "moving_mnist/mnist_test_seq.npy"):
        root = tmp_path / Path(file).stem
        (root / file).parent.mkdir(parents=True)
        (root / file).touch()
        assert not create_datamodule("moving_mnist", root=root, protocol="openstl").family.embedded
        assert create_datamodule("moving_mnist", root=root, source="embedded").family.embedded


@pytest.mark.slow  # evaluates 500 sequences
def test_every_command_works_on_shipped_weights(tmp_path, monkeypatch, tiny_cfg):
    monkeypatch.chdir(tmp_path)
    before = sorted(FOLDER.rglob("*"))
    every_command(SHIPPED)
    train(tiny_cfg("translator=moganet", "data.height=64", f"weights={SHIPPED}", "ema=0.9"))
    drawn = {"analysis", "export", "predictions", "run"}
    assert {p.name for p in tmp_path.iterdir()} == drawn | {
        "results_simvp_moganet_moving_mnist_test.json"
    }
    assert sorted(p for p in FOLDER.rglob("*") if "__pycache__" not in p.parts) == [
        p for p in before if "__pycache__" not in p.parts
    ]


def test_predict_needs_no_argument(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    predict(command_cfg("predict", "formats=[png]"))
    assert len(list(tmp_path.glob("predictions/sequence_*.png"))) == 4
    assert f"predicting with {SHIPPED}" in capsys.readouterr().out


def test_training_starts_from_shipped_weights(tmp_path, monkeypatch, tiny_cfg):
    monkeypatch.chdir(tmp_path)
    words = ("translator=moganet", "data.height=64", f"weights={SHIPPED}", "optimizer.lr=0")
    train(tiny_cfg(*words, "optimizer=adam"))
    found, shipped = load_predictor("run"), load_predictor(SHIPPED)
    for name, value in shipped.named_parameters():
        assert torch.equal(found.get_parameter(name), value), name


def test_the_demo_begins_with_shipped_weights(moved):
    names = list(_checkpoints(command_cfg("demo", f"runs={moved.parent}")))
    assert names[0] == command_cfg("predict").ckpt_path == SHIPPED
    assert sorted(names) == sorted([*list_pretrained(), str(moved / "checkpoints/best.ckpt")])
