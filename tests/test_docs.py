"""Every command of the documentation composes, every example runs, every link leads somewhere."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.fenced import PAGES, ROOT, blocks, check, commands

OWN_TESTS = ("README.md", "docs/how-to/python.md", "docs/how-to/downstream.md")
"""Pages whose Python examples have tests of their own."""
PYTHON = [block for block in blocks("python") if block.page not in OWN_TESTS and not block.needs]
GENERATED = re.compile(
    r"reference/(commands|api|datasets)\.md|tutorials/|contributing/(index|ch|se)"
)


COMMANDS = commands()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: f"{c[0]}: {' '.join(c[1])}"[:120])
def test_commands_are_valid(command):
    assert check(command[1]) in ("composed", "files", "pip", "flags", "other")


def test_commands_are_found():
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "docs/how-to/gpu.md", "docs/get-started/first_run.md"} <= pages
    assert len(COMMANDS) > 100


def test_a_wrong_override_is_found():
    with pytest.raises(Exception, match="trainer"):
        check(["predcnn", "train", "trainer.max_epoch=3"])
    with pytest.raises(Exception, match="moga"):
        check(["python", "scripts/train.py", "translator=moga"])


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.page)
def test_python_examples_run(block, tmp_path):
    # weights that only their authors offer
    code = re.sub(r'.*"van_b2\.pth".*\n', "", block.text)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(((?!https?:|#|mailto:)[^)\s]+)\)", text)
    links = [link.split("#")[0] for link in links if not GENERATED.search(link)]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_site_lists_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    nav = yaml.safe_load(text[text.index("\nnav:") :])
    listed = set(re.findall(r"[\w/-]+\.md", str(nav)))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not page.startswith("leaderboard/entries")} <= listed


def test_every_network_has_its_place_on_the_pages_of_models():
    import predcnn

    text = "".join(path.read_text() for path in (ROOT / "docs/models").glob("*.md"))
    named = set(re.findall(r"<!-- network (?:translator|model) (\w+) -->", text)) | {"simvp"}
    assert {*predcnn.list_translators(), *predcnn.list_predictors()} <= named


def test_shell_blocks_that_need_something_say_what():
    for block in blocks("bash"):
        if "needs" in block.mark:
            assert len(block.needs) > 3, block.page


def test_the_command_reference_has_every_setting_with_its_explanation(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/hooks")
    from settings import command_reference

    page = command_reference(["train", "predict"])
    assert "| `ema` | null | decay of averaged weights" in page
    assert "| `trainer.max_epochs` | 8 |" in page.replace("\\_", "_")
    assert "| `horizon` | null |" in page
    assert "| `translator=moganet` | MogaNet (Li et al. 2022)." in page


def test_results_of_a_network_are_those_of_the_leaderboard(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/hooks")
    from results import result_table

    table = (ROOT / "docs/leaderboard/leaderboard.md").read_text()
    numbers = re.search(r"SimVP \+ MogaNet \| ((?:[\d.]+ \| ){3}[\d.]+)", table)[1]
    assert numbers in result_table("translator", "moganet")
    assert "*published*" in result_table("model", "convlstm")
    assert "No result" in result_table("translator", "spacetime")
