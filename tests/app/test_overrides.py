"""Overrides as the shell hands them over: file names of any kind, names of other programs."""

import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from predcnn.app import cli
from predcnn.app.overrides import quoted_path, readable
from predcnn.weights.pretrained import pretrained_file


def read(value: str, sweeps: bool = False) -> object:
    parser = OverridesParser.create()
    return parser.parse_override(f"key={quoted_path(value, sweeps)}").value()


@pytest.mark.parametrize(
    "name",
    [
        "runs/a/best.ckpt", "a b (1).mp4", "a, b.gif", "epoch=3.ckpt", "[x].ckpt", "é ü.npy", "12",
        "true", "1e3", "it's.mp4", "\\'", "a\\", "{a}.mp4", "a#b;c&d", "[a", 'say "x".gif', "-",
        "C:\\runs\\a b\\", "!x", "glob(*)", "${oc.env:HOME}/x",
    ],
)  # fmt: skip
def test_any_file_name_is_read_as_it_is(name):
    assert read(name) == name


def test_lists_null_and_sweeps_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read("[a.ckpt,b.ckpt]") == ["a.ckpt", "b.ckpt"]
    assert read("null") is None
    assert read("'a b'") == "a b"
    assert read("a.ckpt,b.ckpt") == "a.ckpt,b.ckpt"
    assert read("a.ckpt,b.ckpt", sweeps=True).list == ["a.ckpt", "b.ckpt"]
    for name in ("a,b", "[a,b]"):  # files of that name come first
        Path(name).touch()
        assert read(name, sweeps=True) == name
    assert read("~/a b") == str(Path.home() / "a b")


def test_only_paths_are_quoted():
    words = ["+input=a (b)", "data.root=~", "name=~", "translator=[gsta,vit]", "-m"]
    expected = ["+input='a (b)'", f"data.root={Path.home()}", *words[2:]]
    assert readable("train", words) == expected


def test_a_command_without_overrides_is_read():
    assert readable("predict", []) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=1e-3"], "no setting 'lr'; did you mean optimizer.lr? "),
        (["model=mau", "model.net.hid_S=4"], "no setting 'model.net.hid_S' in the chosen groups"),
        (["epochs=3"], "did you mean trainer.max_epochs? "),
        (["max_epochs=3"], "did you mean trainer.max_epochs? "),
        (["batch_size=4"], "did you mean data.batch_size? "),
        (["--max_epochs", "3"], "no option --max_epochs; settings have no dashes: trainer.max_epo"),
        (["--lr=1e-3"], "settings have no dashes: optimizer.lr=1e-3"),
        (["--confg-dir=x"], "did you mean --config-dir? "),
        (["translator=TAU"], "did you mean tau? "),
        (["translator=moga"], "did you mean moganet? "),
        (["name=a(b"], "cannot read 'name=a(b': an override is NAME=VALUE"),
        (["moganet"], "cannot read 'moganet': an override is NAME=VALUE"),
        (["ckpt_path=no (such), file=1.ckpt"], "no file no (such), file=1.ckpt"),
        (["ckpt_path=pretrained/simvp_moganet_moving_mnist"], "from them with weights=pretrained/"),
    ],
)
def test_wrong_overrides_suggest_the_right_ones(monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predcnn", "train", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert message in str(stop.value.code)
    assert "\n" not in str(stop.value.code)


def test_a_checkpoint_and_an_output_of_any_name_work(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    odd = Path("weights (1), é=[x].safetensors")
    odd.write_bytes(pretrained_file("pretrained/simvp_moganet_moving_mnist").read_bytes())
    words = [f"ckpt_path={odd}", "output=out, (2)=é", "sequences=1", "formats=[png]"]
    monkeypatch.setattr(sys, "argv", ["predcnn", "predict", *words])
    cli.main()
    assert Path("out, (2)=é/sequence_000.png").exists()


def test_a_list_of_names_that_need_quotes_is_an_error_that_shows_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"\[a \(1\)\.mp4,b\.mp4\] is no list: quote each name"):
        readable("predict", ["input=[a (1).mp4,b.mp4]"])
    for kept in ('input=["a (1).mp4","b.mp4"]', "input=[a.mp4,b.mp4]", 'output="[a (1),b]"'):
        assert readable("predict", [kept]) == [kept]
    Path("[a (1),b]").touch()
    assert readable("predict", ["input=[a (1),b]"]) == ["input='[a (1),b]'"]
