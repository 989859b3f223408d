"""Facts that more than one file states agree."""

import ast
import configparser
import re
from pathlib import Path

import pytest
import yaml

import predcnn

ROOT = Path(__file__).resolve().parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")


def test_the_version_is_that_of_setup_cfg():
    assert predcnn.__version__ == SETUP["metadata"]["version"]


def test_the_citation_names_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == SETUP["metadata"]["version"]
    assert citation["license"] == SETUP["metadata"]["license"]
    assert all({"title", "authors", "year"} <= set(paper) for paper in citation["references"])


def test_the_workflow_runs_ci_and_existing_tests():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    paths = re.findall(r"tests/\S+", " ".join(steps))
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    versions = workflow["jobs"]["python"]["strategy"]["matrix"]["python"]
    classifiers = SETUP["metadata"]["classifiers"]
    assert re.findall(r"Python :: (3\.\d+)", classifiers) == versions


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=str)
def test_issue_forms_have_what_they_need(path):
    form = yaml.safe_load(path.read_text())
    if path.stem != "config":
        assert {"name", "description", "body"} <= set(form)
        assert all(field["type"] == "textarea" for field in form["body"])


@pytest.mark.parametrize("folder", ["predcnn", "scripts"])
def test_files_have_300_lines_and_functions_40_at_most(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= 40, f"{path}: {node.name} has {length} lines"
