"""Docstrings, comments, messages, configuration and documentation use the standard terms."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TERMS = {
    r"films?": "video",
    r"pictures?": "image",
    r"zero lines?": "baseline",
    r"perceptrons?": "MLP",
    r"twins?|plain (formulation|way)": "reference implementation, copy",
    r"held against|beside": "compared with, next to",
    r"in turn": "alternating, one after another",
    r"(is|are|was|were) said|says so": "printed, reported, recorded",
    r"words?": "override, argument",
    r"fresh(ly)?": "new",
    r"whole": "complete, entire",
    r"stands? (apart|in)|kept apart": "separate; is in",
    r"crowded|(free|quiet) machines?": "busy machine, idle machine",
    r"on the way back": "in the backward pass",
    r"as published": "as in the reference code, as in the paper",
    r"rooms?|houses?": "package, module",
    r"nam(es?|ing) the (nearest|closest)": "suggests the closest",
}
ALLOWED = {
    "whole numbers?": "an integer, in messages for users",
    "16x16 words": "the title of a paper",
    '"pictures"': "a key of the files that predcnn analyze writes",
    "any word": "text typed into the filter of the leaderboard",
}
PROSE = {".cpp", ".h", ".md", ".yaml"}
FOLDERS = ("predcnn", "configs", "scripts", "examples", "docs", "tests")
FILES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*"))]
    if path.suffix in PROSE | {".py"} and path != Path(__file__)
)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of comments, function names and strings, unless they are single keys."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(content.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if " " in node.value:
                yield node.lineno, " ".join(node.value.split())
        elif isinstance(node, ast.FunctionDef):
            yield node.lineno, node.name.replace("_", " ")
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def findings(line: int, text: str) -> list[str]:
    for phrase in ALLOWED:
        text = re.sub(phrase, "", text, flags=re.IGNORECASE)
    found = ((re.search(rf"\b({old})\b", text, re.IGNORECASE), new) for old, new in TERMS.items())
    return [f"line {line}: {match.group()!r}; better: {new}" for match, new in found if match]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_standard_terms_are_used(path):
    assert [found for line, text in texts(path) for found in findings(line, text)] == []


def test_a_wrong_term_is_found():
    assert findings(3, "Draw a Film.") == ["line 3: 'Film'; better: video"]
    assert findings(3, "a whole number") == []
