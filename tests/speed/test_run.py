"""The command of the speed comparisons: the files it writes, the arguments it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from scripts.dev.speed import recurrent
from scripts.dev.speed.run import Settings, compare, parse

ROOT = Path(__file__).resolve().parents[2]


def test_a_group_leaves_json_and_markdown(tmp_path):
    command = [sys.executable, ROOT / "scripts/dev/speed/run.py", "group=operators", "only=norm"]
    done = subprocess.run(
        [*command, "rounds=1", "threads=1", "output=speed"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "speed/operators.json").read_text())
    assert content["rows"][0]["name"] == "group norm, SiLU, forward + backward"
    assert content["rows"][0]["error"] < 1e-4
    assert content["kernels"]
    assert content["threads"] == 1
    assert content["command"].startswith("run.py group=operators only=norm")
    assert "| group norm, SiLU" in (tmp_path / "speed/operators.md").read_text()
    assert "times as fast" in done.stdout


def test_values_take_the_type_of_their_setting():
    assert parse([]) == Settings()
    assert parse(["only=small *", "rounds=3", "keep_memory=true"]) == Settings(
        only="small *", rounds=3, keep_memory=True
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["group=forwards"], "no group 'forwards'; did you mean forward"),
        (["clock=sun"], "accepted: wall, cpu"),
        (["rounds=0"], "at least 1"),
        (["rounds=many"], "rounds is a whole number, not many"),
        (["keep_memory=perhaps"], "true or false"),
        (["round=3"], "no setting 'round'; did you mean rounds"),
        (["forward"], "no setting 'forward'"),
        (["group=operators", "only=nothing"], "its cases are depthwise forward 5, .*, adam"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        compare(parse(arguments))


@pytest.mark.parametrize("name", recurrent.SMALL)
def test_recurrent_sizes_are_those_of_the_small_scale(name):
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", [f"model={name}", "run_dir=runs"])
    net = OmegaConf.to_container(cfg.model.net, resolve=True)
    for option, size in recurrent.SMALL[name].items():
        assert net[option] == (list(size) if isinstance(size, tuple) else size)
