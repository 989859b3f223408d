"""Records of strangers are data: nothing in them runs, escapes its file or stops the others."""

import csv
import io
import json

import pytest
from rich.console import Console

from predcnn.app.benchmark import benchmark
from predcnn.leaderboard import records
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.columns import as_csv, markdown, table_of
from tests.app.test_benchmark import bench_cfg
from tests.leaderboard.made_records import a_board, black, failure, run
from tests.leaderboard.test_page import Outline, browser, write  # noqa: F401  the fixture

SCRIPT = '"><img src=y onerror=document.title=1337>'
NAMES = (
    SCRIPT, "<script>document.title=1337</script>", "=cmd|'/c calc'!A1", "../../../etc/passwd",
    "a|b", "[x](javascript:document.title=1337)", "[red]no[/red]", "javascript:alert(1)",
    "</script><script>document.title=1337</script>", "{{ 7 * 191 }}", "__proto__",
)  # fmt: skip


def hostile() -> list[dict]:
    rows = []
    for i, name in enumerate(NAMES):
        row = run(name, 100.0 + i)
        row |= {"note": name, "command": name, "config": {name: name}, "recorded": name}
        row["files"] = {"log": name}
        row["data"] |= {"source": name}
        row["throughput"][0]["device"] = name
        row["results"]["definitions"]["mse"] = name
        row["results"]["git"]["commit"] = name
        row["results"]["metrics"] |= {name: 1.0}
        row["results"]["per_frame"] |= {name: [1.0, 2.0]}
        rows.append(row)
    board = run("x", 50.0) | {
        "files": {},
        "scale": SCRIPT,
        "test_fingerprint": "other",
        "fingerprint": "x",
    }
    board["data"] |= {"name": "../../evil", "protocol": SCRIPT}
    return [*rows, failure(f"failed {SCRIPT}", f"| {SCRIPT}"), black(), board]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    for row in hostile():
        records.append(path, row)
    content = records.read(path)
    assert content.ignored == {}
    return boards(content.rows)


def test_ids_and_links_of_the_page_are_slugs_and_text_is_escaped(made, tmp_path):
    text = write(tmp_path, made).read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
    assert all(set(name) <= plain for name in [*outline.ids, *outline.anchors])
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.anchors - {""} <= set(outline.ids)
    clips = [source for source in outline.loaded if not source.startswith("data:")]
    assert {(tmp_path / clip).resolve().parent for clip in clips} == {tmp_path / "clips"}
    assert text.count("<script") == 2
    assert "<img src=y" not in text
    assert "1337</script><" not in text


def test_file_names_stay_in_the_folder(made):
    assert all("/" not in board.key and ".." not in board.key for board in made)


def test_spreadsheets_compute_nothing(made):
    metric = run("plain", 99.0)
    for part in ("metrics", "per_frame"):
        metric["results"][part] |= {"=1+1": 1.0 if part == "metrics" else [1.0]}
    text = as_csv([*made, *boards([metric])])
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert "'=cmd|'/c calc'!A1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


def test_markdown_keeps_its_table_and_has_no_tags(made):
    text = markdown(made)
    assert "<script" not in text
    assert "<img" not in text
    assert "](javascript" not in text
    assert "| a\\|b |" in text


def test_the_terminal_interprets_no_markup(made):
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(table_of(made[0]).terminal(400))
    assert "[red]no[/red]" in console.export_text()


def changed(**parts: object) -> dict:
    return run("simvp_vit", 100.0) | parts


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (changed(name="x" * 10**6), "longer than"),
        (changed(name="x" * 1000), "'name'"),
        (changed(name="a\nb"), "'name'"),
        (changed(name="\x1b[31mred"), "'name'"),
        (changed(name=None), "'name'"),
        (changed(seed="1"), "'seed'"),
        (changed(seed=True), "'seed'"),
        (changed(budget_minutes=10**400), "'budget_minutes'"),
        (changed(results=[]), "'results'"),
        (changed(results={**run("a", 1.0)["results"], "metrics": {"mse": "low"}}), "metrics.mse"),
        (changed(throughput=[{"batch_size": 1}]), "sequences_per_second"),
        (changed(files={"sequence": "../../secret.npz"}), "'files.sequence'"),
        (changed(files={"sequence": "/etc/passwd"}), "'files.sequence'"),
        (changed(files={"sequence": "C:\\secret.npz"}), "'files.sequence'"),
        (changed(kind="surprise"), "its kind is 'surprise'"),
        (changed(kind=["run"]), "its kind is"),
        (changed(status="failed", reason=7), "'reason'"),
        ({"kind": "probe", "fingerprint": "f"}, "'code'"),
    ],
)
def test_a_wrong_record_is_ignored_with_its_reason_and_the_others_count(tmp_path, record, why):
    path = tmp_path / "records.jsonl"
    records.append(path, record)
    records.append(path, run("simvp_vit", 100.0))
    content = records.read(path)
    assert len(content.rows) == 1
    assert why in content.ignored[1]
    assert len(content.ignored[1]) < 300


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "[" * 100_000, "9" * 10_000, '"x"'])
def test_other_json_is_not_a_record(tmp_path, text):
    path = tmp_path / "records.jsonl"
    line = json.dumps({"schema": 2, **run("simvp_vit", 100.0)}).replace("100.0", text, 1)
    path.write_text(f"{line}\n{text}\n")
    content = records.read(path)
    assert content.rows == []
    assert set(content.ignored) == {1, 2}


def test_a_folder_of_hostile_records_is_rendered(tmp_path, capfd):
    path = tmp_path / "bench" / "records.jsonl"
    for row in [*hostile(), *a_board()]:
        records.append(path, row)
    secret = tmp_path / "secret.npz"
    secret.write_bytes(b"not an archive")
    (path.parent / "broken.npz").write_bytes(b"not an archive")
    records.append(path, run("broken", 99.0) | {"files": {"sequence": "broken.npz"}})
    benchmark(bench_cfg(tmp_path, "mode=render"))
    assert {p.suffix for p in path.parent.iterdir() if p.is_file()} >= {".md", ".csv", ".html"}
    assert set(tmp_path.iterdir()) == {path.parent, secret}
    assert "the gallery omits: " in capfd.readouterr().out


@pytest.mark.slow
def test_the_browser_runs_nothing_of_a_record(made, tmp_path, browser):  # noqa: F811
    browser.get(write(tmp_path, made).as_uri())
    opened = browser.execute_script(
        "document.querySelectorAll('details').forEach(part => part.open = true);"
        "document.querySelectorAll('input[type=checkbox]').forEach(box => box.click());"
        "document.querySelectorAll('input[type=checkbox]').forEach(box => box.click());"
        "return document.querySelectorAll('details[open]').length"
    )
    assert opened > len(NAMES)
    browser.implicitly_wait(0.5)
    assert browser.find_elements("css selector", ".curves svg")
    assert browser.title == "predcnn leaderboard"
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    clips = (tmp_path / "clips").as_uri()
    assert [name for name in loaded if not name.startswith(("data:", clips))] == []
    errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []
