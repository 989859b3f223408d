"""Wrong input on the command line: one clear sentence, a non-zero exit, nothing left behind."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from predcnn.app import cli
from predcnn.app.evaluate import evaluate
from predcnn.app.train import train
from predcnn.training.callbacks import StopOnNonFinite
from tests.app.test_train import command_cfg

NET = ("translator=gsta", "model.net.hid_S=4", "model.net.hid_T=8", "model.net.N_T=2")


@pytest.fixture
def said(monkeypatch, tmp_path):
    """``said("train", "translator=mogant")``: what the command says before it leaves."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *words: str, leaves: bool = False) -> str:
        argv = [f"{command}.py", *words, f"hydra.run.dir={tmp_path}/run"]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            cli.run(command)
        assert isinstance(stop.value.code, str), stop.value.code
        assert leaves or not (tmp_path / "run").exists(), "something was left behind"
        return stop.value.code

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["translator=mogant"], "no translator 'mogant'; did you mean moganet"),
        (["data=moving_mnits"], "no data 'moving_mnits'; did you mean moving_mnist"),
        (
            ["trainr.max_epochs=3"],
            "no setting 'trainr.max_epochs'; did you mean trainer.max_epochs",
        ),
        (["model.net.hid_s=3"], "model.net.hid_S"),
        (["model=gtsa"], "no model 'gtsa'; gsta is a translator: translator=gsta"),
        (["model=copy_last", "translator=vit"], "translator= belongs to model=simvp"),
        (["translator=[gsta,vit]"], "translator=stack 'translator.blocks=[gsta,vit]'"),
        (["translator=stack"], "translator.blocks has no default"),
        (["translator=custom", "translator.block=nowhere.Block"], "No module named 'nowhere'"),
        (["metrics=[mse,ssin]"], "ssim"),
        (["data.protocol=isolate"], "isolated"),
        (["data.source=mnist", "data.root=empty"], "empty"),
        (["data=moving_fmnist"], "prepare_data.py data=moving_fmnist"),
        (["model.net.N_S=3"], "N_S"),
        (["trainer.accelerator=quantum"], "quantum"),
        (["ckpt_path=none.ckpt"], "none.ckpt"),
        (["resume=true"], "no unfinished run"),
    ],
)
def test_wrong_overrides_get_one_sentence(said, words, message):
    text = said("train", *words)
    assert text.startswith("error: ")
    assert message in text
    assert "Traceback" not in text


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed (extra log)")
def test_a_missing_package_names_its_extra(said):
    assert "predcnn[log]" in said("train", "logger=[csv,wandb]")


def test_evaluate_reports_invalid_checkpoints(said, tmp_path):
    assert "no file missing.ckpt" in said("evaluate", "ckpt_path=missing.ckpt")
    (tmp_path / "damaged.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint")
    assert "damaged.ckpt" in said("evaluate", "ckpt_path=damaged.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    assert "import_weights" in said("evaluate", "ckpt_path=foreign.ckpt")


def test_a_checkpoint_of_another_model_is_refused_by_its_differences(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, run_dir=tmp_path / "a"))
    with pytest.raises(ValueError, match="hid_S=4 there, 6 here"):
        train(
            tiny_cfg(
                *NET,
                "model.net.hid_S=6",
                f"ckpt_path={tmp_path}/a/checkpoints/last.ckpt",
                run_dir=tmp_path / "b",
            )
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_target_": "os.makedirs"}, None),  # not looked at: data sets are made by name
        ({"_target_": "predcnn.data.sources.idx.np.load", "allow_pickle": True}, "allow_pickle"),
        ({"root": {"_target_": "os.makedirs", "name": "made"}}, "root"),
        ({"name": "made.by.a.Stranger"}, "not a data set of this package"),
    ],
)
def test_a_checkpoint_cannot_choose_what_is_built(
    tiny_cfg, tmp_path, monkeypatch, settings, message
):
    monkeypatch.chdir(tmp_path)
    train(tiny_cfg(*NET, run_dir=tmp_path / "a"))
    saved = torch.load(tmp_path / "a/checkpoints/best.ckpt", weights_only=True)
    saved["predcnn"]["run"]["data"] |= settings
    torch.save(saved, tmp_path / "best.ckpt")
    words = (f"ckpt_path={tmp_path}/best.ckpt", f"output={tmp_path}/out")
    if message is None:
        evaluate(command_cfg("evaluate", *words))
    else:
        with pytest.raises((TypeError, ValueError), match=message):
            evaluate(command_cfg("evaluate", *words))
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_imports_no_module_it_names(tiny_cfg, tmp_path, said):
    train(tiny_cfg(*NET, run_dir=tmp_path / "a"))
    saved = torch.load(tmp_path / "a/checkpoints/best.ckpt", weights_only=True)
    saved["predcnn"]["config"]["translator"] = "antigravity.Block"
    torch.save(saved, tmp_path / "evil.ckpt")
    text = said("evaluate", f"ckpt_path={tmp_path}/evil.ckpt")
    assert "built from 'antigravity.Block': import antigravity first" in text
    assert "antigravity" not in sys.modules


def test_a_truncated_checkpoint_is_not_resumed(tiny_cfg, tmp_path):
    run = tmp_path / "runs/a"
    train(tiny_cfg(*NET, run_dir=run))
    (run / "results.json").unlink()
    last = run / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"last\.ckpt"):
        train(tiny_cfg(*NET, "resume=true", run_dir=run))


def test_an_unwritable_run_directory_is_known_before_the_work(tiny_cfg, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        train(tiny_cfg(*NET, run_dir=tmp_path / "file"))


def test_losses_are_checked_periodically_on_accelerators():
    guard = StopOnNonFinite(check_every=5)
    guard._bad = torch.tensor(True)

    class Trainer:
        global_step = 7

    with pytest.raises(RuntimeError, match="between steps 0 and 7"):
        guard.check(Trainer())
    guard.check(Trainer())  # said once


def test_the_wrong_number_of_channels_is_refused(tiny_cfg, tmp_path):
    with pytest.raises(Exception, match=r"frames are \(B, 10, 3, H, W\)"):
        train(tiny_cfg(*NET, "model.net.in_shape=[10,3,32,32]"))


def test_help_needs_no_heavy_package(tmp_path):
    import subprocess

    heavy = "'lightning', 'torchmetrics', 'timm', 'torch'"
    code = (
        "import sys; sys.argv = ['train.py', '--help']\n"
        "from predcnn.app.cli import run\n"
        "try: run('train')\nexcept SystemExit: pass\n"
        f"print('HEAVY', [m for m in ({heavy}) if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "moganet" in done.stdout
    assert "HEAVY []" in done.stdout.replace("'torch'", "")
    assert not list(Path(tmp_path).iterdir())


def test_a_worker_that_dies_is_one_sentence(said, monkeypatch):
    import os

    from predcnn.data.generated.sequences import GeneratedSequences

    whole, parent = GeneratedSequences.batch, os.getpid()

    def deadly(self, epoch, indices):
        if os.getpid() != parent:
            os._exit(9)
        return whole(self, epoch, indices)

    monkeypatch.setattr(GeneratedSequences, "batch", deadly)
    words = (
        "data.num_workers=1",
        "data.source=embedded",
        "trainer.enable_progress_bar=false",
        *NET,
    )
    text = said("train", *words, leaves=True)
    assert "worker" in text
    assert "Traceback" not in text
