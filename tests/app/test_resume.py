"""A run that is interrupted ends where the uninterrupted one does."""

import shutil

import pytest

from predcnn.app.train import train
from tests.app.interruption import assert_same, final_state, train_and_kill

NET = ("translator=moganet", "model.net.hid_S=4", "model.net.hid_T=16", "model.net.N_T=2")
RUN = (*NET, "data.train_sequences=8", "trainer.max_epochs=3")  # 4 steps an epoch


@pytest.mark.parametrize("extra", [(), ("ema=0.9",)], ids=["plain", "ema"])
@pytest.mark.parametrize("step", [2, 5])
def test_resumed_equals_uninterrupted(tiny_cfg, tmp_path, monkeypatch, step, extra):
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    train(tiny_cfg(*RUN, *extra, run_dir=whole))
    train_and_kill(tiny_cfg(*RUN, *extra, run_dir=cut), step, monkeypatch)
    train(tiny_cfg(*RUN, *extra, "resume=true", run_dir=tmp_path / "cut/other"))
    assert_same(final_state(whole), final_state(cut))


def test_resume_finds_only_the_same_experiment(tiny_cfg, tmp_path):
    train(tiny_cfg(*NET, run_dir=tmp_path / "runs/a"))
    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(tiny_cfg(*NET, "resume=true", run_dir=tmp_path / "runs/b"))
    with pytest.raises(FileNotFoundError, match="no unfinished run"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/b"))
    with pytest.raises(ValueError, match="another configuration"):
        train(tiny_cfg(*NET, "seed=1", "resume=true", run_dir=tmp_path / "runs/a"))
    shutil.rmtree(tmp_path / "runs")
