"""What makes results old, and what does not."""

import shutil

from predcnn.leaderboard.entries import HASHED, PACKAGE, code_version


def copied(folder):
    for place in HASHED:
        source, target = PACKAGE / place, folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def test_only_code_that_decides_results_changes_the_version(tmp_path):
    same = copied(tmp_path / "same")
    for path in (same / "ops" / "conv.py", same / "app" / "train.py"):
        text = path.read_text()
        assert text.startswith('"""')
        path.write_text('"""Another text' + text[3:] + "\n\n# a comment\n")
    (same / "leaderboard").mkdir()
    (same / "leaderboard" / "html.py").write_text("new = 1\n")
    assert code_version(same) == code_version()

    other = copied(tmp_path / "other")
    path = other / "training" / "optim.py"
    path.write_text(
        path.read_text().replace("min_factor: float = 0.001", "min_factor: float = 0.002")
    )
    assert code_version(other) != code_version()
