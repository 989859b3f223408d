"""The benchmark command: files it leaves, words it refuses."""

import json

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from predcnn.app.bench import bench
from predcnn.benchmarks import recurrent


def cfg(tmp_path, *words):
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        return compose("bench", ["rounds=1", "threads=1", f"output={tmp_path}", *words])


def test_a_group_leaves_json_and_markdown(tmp_path, capsys):
    bench(cfg(tmp_path, "group=operators", "only=norm"))
    content = json.loads((tmp_path / "operators.json").read_text())
    assert content["rows"][0]["name"] == "group norm, SiLU, forward + backward"
    assert content["rows"][0]["error"] < 1e-4
    assert content["kernels"]
    assert content["threads"] == 1
    assert "| group norm, SiLU" in (tmp_path / "operators.md").read_text()
    assert "times as fast" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["group=forwards"], "accepted are all, forward"),
        (["clock=sun"], "accepted are wall, cpu"),
        (["rounds=0"], "at least 1"),
        (["group=operators", "only=nothing"], "its cases are depthwise forward 5, .*, adam"),
    ],
)
def test_wrong_words_are_refused(tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        bench(cfg(tmp_path, *words))


@pytest.mark.parametrize("name", recurrent.SMALL)
def test_recurrent_sizes_are_those_of_the_small_scale(name):
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        cfg = compose("train", [f"model={name}", "run_dir=runs"])
    net = OmegaConf.to_container(cfg.model.net, resolve=True)
    for word, size in recurrent.SMALL[name].items():
        assert net[word] == (list(size) if isinstance(size, tuple) else size)
