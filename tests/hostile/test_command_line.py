"""Invalid command lines give one sentence and leave no files."""

import json
import os
import re
import sys

import pytest
import torch

from predcnn.app import cli
from predcnn.app.train import train
from tests.app.test_errors import said  # noqa: F401
from tests.hostile.harness import within

NET = ("translator=convnext", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")
SMALL = (
    *NET, "data.source=embedded", "data.height=32", "trainer.accelerator=cpu", "trainer.devices=1",
    "data.train_sequences=4", "data.val_sequences=2", "data.test_sequences=2", "data.batch_size=2",
)  # fmt: skip

EVERY_TIME = {
    "a negative learning rate", "a batch larger than the set", "a root that is a file",
    "metrics that are not a list", "an added key", "an interpolation to nothing",
    "a checkpoint of text", "a link to itself", "evaluate: an unknown metric",
    "predict: an empty list", "prepare_data: no network", "import_weights: text", "brackets",
}  # fmt: skip
"""Cases of the default run: composing a configuration costs Hydra half a second."""

TRAIN = {
    "epochs of text": (["trainer.max_epochs=many"], "many|max_epochs"),
    "negative epochs": (["trainer.max_epochs=-5"], "max_epochs"),
    "no devices": (["trainer.devices=0"], "devices|0"),
    "a strategy of nobody": (["trainer.strategy=dpp"], "dpp"),
    "an unknown precision": (["trainer.precision=7"], "7"),
    "a learning rate of text": (["optimizer.lr=abc"], "abc|lr"),
    "a negative learning rate": (["optimizer.lr=-1"], "-1|learning rate"),
    "a rise longer than the schedule": (["scheduler.pct_start=2"], "pct_start"),
    "no batch": (["data.batch_size=0"], "batch_size"),
    "a batch larger than the set": (["data.batch_size=64"], "split of 4 is less than one batch"),
    "a small canvas": (["data.height=5"], "height is a whole number, at least 28"),
    "a root that is a file": (["data.root=file", "data.source=auto"], "is not a folder"),
    "a seed of text": (["seed=lucky"], "seed|lucky"),
    "a negative seed": (["seed=-1"], "seed|-1"),
    "no metrics": (["metrics=[]"], "at least one"),
    "metrics that are not a list": (["metrics=mse"], "mse"),
    "an unlogged monitor": (["callbacks.checkpoint.monitor=val/fvd"], "val/fvd is not logged"),
    "no checkpoints": (["callbacks.checkpoint=null"], "needs callbacks.checkpoint"),
    "an average beyond one": (["ema=2"], "ema|decay"),
    "LPIPS without weights": (["metrics=[lpips]", "lpips_weights=none.pth"], "none.pth"),
    "an unknown objective": (["objective=msee"], "did you mean mse"),
    "an unknown group": (["modl=simvp"], "did you mean model"),
    "an unknown scale": (["scale=tiny"], "no scale 'tiny'"),
    "an added key": (["trainer.max_epoch=3"], "did you mean trainer.max_epochs"),
    "blocks without a stack": (["translator.blocks=[van]"], "translator.blocks"),
    "brackets left open": (["metrics=[mse"], "mse"),
    "an override without a value": (["translator"], "translator"),
    "an interpolation to nothing": (["seed=${nothing.there}"], "nothing"),
    "a checkpoint that is a folder": (["ckpt_path=folder"], "no weight file lies in"),
    "a checkpoint in another alphabet": (["ckpt_path='ünïcödé.ckpt'"], "ünïcödé.ckpt"),
    "a checkpoint of text": (["ckpt_path=file"], "file cannot be read"),
    "a very long name": ([f"ckpt_path={'x' * 300}.ckpt"], "too long|no such file"),
    "a link to itself": (["ckpt_path=loop.ckpt"], "loop.ckpt"),
    "nothing to resume": (["resume=true"], "no unfinished run"),
    "an accelerator that is not there": (["trainer.accelerator=tpu"], "(?i)tpu|xla"),
    "a logger that is not there": (["logger=[csv,neptun]"], "neptun"),
    "a class that is not there": (["optimizer._target_=torch.optim.Adma"], "Adma"),
    "no steps to unroll": (["model=copy_last", "objective=scheduled"], "no steps to unroll"),
    "a compiled recurrence": (["model=convlstm", "compile=true"], "trained by unrolling"),
}  # fmt: skip


def rows(table: dict[str, object]) -> list:
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)),
            id=name,
            marks=() if name in EVERY_TIME else pytest.mark.slow,
        )
        for name, row in table.items()
    ]


@pytest.mark.parametrize(("words", "says"), rows(TRAIN))
def test_train(said, tmp_path, words, says):  # noqa: F811
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.ckpt").symlink_to("loop.ckpt")
    chosen = {word.partition("=")[0] for word in words}
    small = [word for word in SMALL if word.partition("=")[0] not in chosen]
    if "model" in chosen:
        small = [word for word in small if not word.startswith(("model", "translator"))]
    with within():
        text = said("train", *small, *words)
    assert re.search(says, text), text
    assert "Traceback" not in text
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder", "loop.ckpt"}


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    """A checkpoint of a finished run."""
    from hydra import compose, initialize_config_module

    run = tmp_path_factory.mktemp("finished") / "run"
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        words = [*SMALL, "trainer.max_epochs=1", "trainer.enable_progress_bar=false"]
        words += ["callbacks.drawing=null", "keep_memory=false", f"run_dir={run}"]
        train(compose("train", overrides=words))
    return run / "checkpoints/best.ckpt"


OTHERS = {
    "evaluate: no checkpoint": ("evaluate", [], "ckpt_path has no default"),
    "evaluate: an unknown split": ("evaluate", ["ckpt_path={best}", "split=tset"], "tset"),
    "evaluate: an unknown metric": ("evaluate", ["ckpt_path={best}", "metrics=[mes]"], "mse"),
    "evaluate: no batch": ("evaluate", ["ckpt_path={best}", "data.batch_size=0"], "batch_size"),
    "evaluate: a missing set": ("evaluate", ["ckpt_path={best}", "data.source=mnist"], "mnist"),
    "evaluate: an unknown set": ("evaluate", ["ckpt_path={best}", "data.name=mmist"], "mmist"),
    "evaluate: text": ("evaluate", ["ckpt_path=file.ckpt"], "file.ckpt cannot be read"),
    "predict: an empty list": ("predict", ["ckpt_path=[]"], "."),
    "predict: no sequences": ("predict", ["ckpt_path={best}", "sequences=0"], "sequences=0"),
    "predict: beyond the end": ("predict", ["ckpt_path={best}", "first=99"], "first=99"),
    "predict: an unknown format": ("predict", ["ckpt_path={best}", "formats=[bmp]"], "bmp"),
    "predict: no frames a second": ("predict", ["ckpt_path={best}", "fps=0"], "fps|0"),
    "predict: an unknown device": ("predict", ["ckpt_path={best}", "device=quantum"], "quantum"),
    "predict: an unknown split": ("predict", ["ckpt_path={best}", "split=tset"], "mean test"),
    "prepare_data: an unknown set": ("prepare_data", ["data=mnits"], "no data 'mnits'"),
    "prepare_data: no network": (
        "prepare_data", ["data.download=true", "data.root=new", "data.source=mnist"], "put the",
    ),
    "import_weights: no file": ("import_weights", ["weights=none.pth"], "none.pth"),
    "import_weights: text": ("import_weights", ["weights=file.ckpt"], "file.ckpt cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "words", "says"), rows(OTHERS))
def test_other_commands(tmp_path, monkeypatch, best, command, words, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    (tmp_path / "file.ckpt").write_text("text")
    before = {p.name: p.stat().st_mtime for p in best.parent.parent.iterdir()}
    argv = [f"{command}.py", *(word.format(best=best) for word in words)]
    monkeypatch.setattr(sys, "argv", argv)
    with within(), pytest.raises(SystemExit) as stop:
        cli.run(command)
    text = str(stop.value.code)
    assert text.startswith("error: ")
    assert re.search(says, text), text
    files = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"file.ckpt"}
    assert {p.name: p.stat().st_mtime for p in best.parent.parent.iterdir()} == before


def _no_network(*args: object, **options: object) -> None:
    raise OSError("no network")


def test_a_malicious_configuration_file_is_not_executed(said, tmp_path):  # noqa: F811
    (tmp_path / "experiment").mkdir()
    code = f"!!python/object/apply:os.mkdir [{tmp_path}/executed]"
    (tmp_path / "experiment/evil.yaml").write_text(f"# @package _global_\nname: {code}\n")
    text = said("train", f"--config-dir={tmp_path}", "experiment=evil")
    assert "python/object" in text
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_chooses_no_metric_to_import(best, tmp_path, monkeypatch):
    saved = torch.load(best, weights_only=True)
    saved["predcnn"]["run"]["metrics"] = ["antigravity.Metric"]
    torch.save(saved, tmp_path / "evil.ckpt")
    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"ckpt_path={tmp_path}/evil.ckpt"])
    with pytest.raises(SystemExit) as stop:
        cli.run("evaluate")
    assert "asks for metrics" in str(stop.value.code)
    assert "antigravity" not in sys.modules


IDENTITIES = {"text": "hello", "a list": "[1]", "cut": '{"name": "x', "brackets": "[" * 100_000}


@pytest.mark.parametrize("content", rows(IDENTITIES))
def test_a_damaged_run_nearby_does_not_stop_a_resume(said, tmp_path, content):  # noqa: F811
    other = tmp_path / "runs/other"
    (other / "checkpoints").mkdir(parents=True)
    (other / "run.json").write_text(content)
    (other / "checkpoints/last.ckpt").write_bytes(b"")
    os.makedirs(tmp_path / "runs/mine")
    monkey = [*SMALL, "resume=true", f"run_dir={tmp_path}/runs/mine"]
    assert "no unfinished run" in said("train", *monkey)


@pytest.mark.slow
def test_a_damaged_identity_of_the_run_itself(tiny_cfg, tmp_path):
    run = tmp_path / "runs/a"
    train(tiny_cfg(*NET, run_dir=run))
    (run / "run.json").write_text('{"name": "x')
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        train(tiny_cfg(*NET, "resume=true", run_dir=run))
    (run / "run.json").unlink()  # what the sentence says
    train(tiny_cfg(*NET, "resume=true", run_dir=run))
    assert json.loads((run / "run.json").read_text())["finished"]
