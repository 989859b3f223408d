"""Help: examples, groups and explained settings, made from the comments of the YAML files."""

import os
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from predcnn.app import cli
from predcnn.app.help import explanations, header, overview, reference, settings_of, text

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GROUPS = sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name[0] != "_")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_setting_of_every_command_is_explained(command):
    assert [s.override for s in reference(command) if not s.explanation] == []


@pytest.mark.parametrize("group", sorted(set(GROUPS) - {"hydra", "experiment"}))
def test_every_setting_of_every_option_is_explained(group):
    files = sorted((CONFIGS / group).glob("*.yaml"))
    known = {k: text for file in files for k, text in explanations(f"{group}/{file.stem}").items()}
    for file in files:
        cfg = OmegaConf.load(file)
        cfg.pop("defaults", None)
        found = [s.override for s in settings_of(cfg, known) if not s.explanation]
        # scales, and objective=masked_frames, change settings of other groups
        assert [name for name in found if name.split(".")[0] not in GROUPS] == [], file


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_three_examples_of_its_own(command):
    summary, examples = header(command)
    assert summary[0].isupper()
    assert len(examples) == 3
    assert all(example.split()[:2] == ["predcnn", command] for example in examples)


def test_settings_have_their_default_and_the_comment_of_their_file():
    settings = {name: (default, meaning) for name, default, meaning in reference("train")}
    assert settings["seed"][0] == "42"
    assert settings["data.in_shape"][0] == "[10, 1, 64, 64]"
    assert settings["model.net.hid_S"] == ("8", "channels of encoder and decoder")
    assert settings["callbacks.finite"][0] == "StopOnNonFinite"
    assert settings["trainer.max_epochs"][0] == "8"
    assert "data.root" in {s.override for s in reference("train", ["data=video_folder"])}
    published = reference("train", ["scale=published"])
    assert ("model.net.hid_S", "64", "channels of encoder and decoder") in published
    assert reference("evaluate")[0].default == "required"


def test_help_shows_examples_then_groups_then_settings(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = text("train").splitlines()
    assert lines[2].startswith("  predcnn train translator=moganet")
    assert max(map(len, lines)) <= 100
    titles = [line for line in lines if line.endswith("(the default in parentheses):")]
    assert titles == [
        "Groups, GROUP=OPTION (the default in parentheses):",
        "Settings, NAME=VALUE (the default in parentheses):",
    ]
    assert lines.index("  optimizer (muon): adam, adamw, lamb, muon, sgd") < lines.index(titles[1])
    assert lines.index("  name (simvp_gsta) — folder under runs/") > lines.index(titles[1])
    assert "  scale (small): large, published, small" in lines
    assert "  callbacks (default): default, early_stopping, sparse_mask, weight_decay" in lines
    assert not any(line.startswith(("  method (", "  hydra")) for line in lines)


def test_help_of_a_choice_shows_its_settings(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["predcnn", "train", "--help", "model=convlstm"])
    cli.main()
    shown = capsys.readouterr().out
    assert "model.net.num_hidden ([32, 32]) — channels of each recurrent layer" in shown
    assert "translator (" not in shown


def test_help_of_an_unknown_choice_suggests_the_closest(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predcnn", "train", "-h", "model=convlst"])
    with pytest.raises(SystemExit, match="no model 'convlst'; did you mean convlstm"):
        cli.main()


def test_the_overview_is_one_line_per_command_and_the_completion():
    lines = overview(cli.COMMANDS).splitlines()
    assert all(len(line) < 100 for line in lines)
    assert [line.split()[0] for line in lines[2:13]] == list(cli.COMMANDS)
    assert '  eval "$(predcnn -sc install=bash)"' in lines


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("predcnn tr", ["train", "train_backbone"]),
        ("predcnn ", list(cli.COMMANDS)),
        ("predcnn train translator=mo", ["translator=moganet"]),
        ("predcnn evaluate spl", ["split="]),
    ],
)
def test_the_shell_completes_commands_groups_and_settings(monkeypatch, capsys, line, suggested):
    monkeypatch.setitem(os.environ, "COMP_LINE", line)
    monkeypatch.setattr(sys, "argv", ["predcnn", "-sc", "query=bash"])
    cli.main()
    assert capsys.readouterr().out.split() == suggested


def test_the_completion_script_is_printed(monkeypatch, capsys):
    monkeypatch.delenv("COMP_LINE", raising=False)
    monkeypatch.setattr(sys, "argv", ["predcnn", "-sc", "install=bash"])
    cli.main()
    assert "complete -o nospace" in capsys.readouterr().out
