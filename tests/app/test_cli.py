"""The command predcnn: its commands, its help, names that do not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

from predcnn.app import cli

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def called(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["predcnn", *words])
    cli.main()


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command_on_a_line_of_its_own(monkeypatch, capsys, words):
    called(monkeypatch, *words)
    shown = capsys.readouterr().out.partition("\n\npredcnn COMMAND --help")[0]
    listed = [line.split()[0] for line in shown.splitlines() if line[:2] == "  "]
    assert listed == list(cli.COMMANDS)
    assert set(listed) == {path.stem for path in CONFIGS.glob("*.yaml")}
    assert set(listed) == {path.stem for path in (CONFIGS.parent / "scripts").glob("[!_]*.py")}


def test_an_unknown_command_suggests_the_closest(monkeypatch):
    with pytest.raises(SystemExit) as stop:
        called(monkeypatch, "evalute", "ckpt_path=x")
    assert "no command 'evalute'; did you mean evaluate" in str(stop.value.code)


def test_a_command_takes_overrides_like_its_script(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        called(monkeypatch, "train", "translator=mogant", "hydra.run.dir=run")
    assert "no translator 'mogant'; did you mean moganet" in str(stop.value.code)


@pytest.mark.slow
def test_two_processes_are_started_with_the_command(tmp_path):
    program = tmp_path / "predcnn"
    program.write_text("from predcnn.app.cli import main\nmain()\n")
    small = [
        "translator=vit", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu",
        "trainer.max_steps=1", "data.height=32", "data.val_sequences=2", "data.test_sequences=2",
        "data.source=embedded", "trainer.enable_progress_bar=false", "hydra.run.dir=run",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, program, "train", *small], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"command": "predcnn train translator=vit' in (tmp_path / "run/results.json").read_text()
