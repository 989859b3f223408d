"""Boards, ranks and tables from records with known numbers."""

import csv
import io
import statistics

import pytest
from rich.console import Console

from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.columns import as_csv, columns_of, markdown, table_of
from predcnn.leaderboard.page import page
from predcnn.leaderboard.protocol import protocol
from predcnn.leaderboard.render import show
from predcnn.leaderboard.table import ranks
from tests.leaderboard.made_records import a_board, failure, run


def rows_of(board):
    return {row.name: row for row in board.rows}


def test_seeds_are_averaged_and_rows_sorted():
    (board,) = boards(a_board())
    names = [row.name for row in board.rows]
    assert names[:4] == ["simvp_moganet", "convlstm", "simvp_vit", "simvp_convmixer"]
    assert names[-1] == "mim"
    mse = rows_of(board)["simvp_vit"].values["mse"]
    assert (mse.mean, mse.sd) == (122.0, pytest.approx(statistics.stdev([120, 124])))
    assert rows_of(board)["convlstm"].values["mse"].sd is None
    assert rows_of(board)["simvp_vit"].curves["mse"][0] == pytest.approx(0.8 * 122)
    assert rows_of(board)["mim"].failures == (
        "seed 42: killed by SIGKILL, as when memory runs out",
    )
    assert rows_of(board)["all black"].values["mse"].mean == 230.0
    assert rows_of(board)["copy the last frame"].values["mse"].mean == 270.0


def test_ranks_are_among_entries_with_weights():
    (board,) = boards(a_board())
    assert ranks(board.rows, "mse", False) == {"simvp_moganet": 1, "convlstm": 2}
    assert ranks(board.rows, "ssim", True) == {"simvp_moganet": 1, "convlstm": 2}
    assert ranks(board.rows, "speed", True) == {"simvp_convmixer": 1, "simvp_vit": 2}
    assert ranks(board.rows, "params", False) == {
        "simvp_convmixer": 1, "simvp_vit": 2, "simvp_moganet": 2,
    }  # fmt: skip


def test_another_budget_is_another_board():
    longer = {**run("simvp_vit", 90.0), "budget_minutes": 10, "fingerprint": "f"}
    first, second = boards([*a_board(), longer])
    assert (first.key, second.key) == (
        "moving_mnist-small-4min-isolated", "moving_mnist-small-10min-isolated",
    )  # fmt: skip
    assert second.rows[0].name == "simvp_vit"


def test_a_result_of_older_code_gives_way_to_the_newer_one_and_not_to_a_failure():
    old = run("simvp_vit", 120.0)
    new = {**run("simvp_vit", 110.0), "code": "d" * 64}
    broken = {**failure("simvp_vit", "no", kind="translator"), "code": "e" * 64}
    (board,) = boards([old, new, broken])
    row = rows_of(board)["simvp_vit"]
    assert (row.values["mse"].mean, row.failures) == (110.0, ())


def test_markdown_says_numbers_protocol_and_failures():
    text = markdown(boards(a_board()))
    line = next(line for line in text.splitlines() if line.startswith("| simvp_moganet"))
    assert "**102.00 ± 2.83**" in line
    assert "| <u>110.00</u> |" in next(x for x in text.splitlines() if x.startswith("| convlstm"))
    assert "- mim, seed 42: killed by SIGKILL" in text
    assert "| *all black* | 230.00 |" in text
    assert "is opened once" in text
    assert "| MogaNet | 200 | 25.57 |" in text
    heads = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert len(set(heads)) == 2  # ours and the published table, each of one width


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(as_csv(boards(a_board())))))
    vit = next(row for row in rows if row["name"] == "simvp_vit")
    assert (float(vit["mse"]), vit["seeds"], float(vit["macs"])) == (122.0, "1 2", 520e6)
    assert float(vit["mse_sd"]) == pytest.approx(statistics.stdev([120, 124]))
    published = [row for row in rows if row["kind"] == "published"]
    moganet = next(r for r in published if r["name"] == "MogaNet" and r["epochs"] == "200")
    assert (float(moganet["mse"]), moganet["ssim"]) == (25.57, "")
    assert float(moganet["ssim_openstl"]) == 0.9429
    assert float(moganet["params"]) == 46.8e6


def test_published_ssim_has_its_column_though_no_run_measured_it():
    plain = run("simvp_vit", 120.0)
    for part in ("metrics", "per_frame", "definitions"):
        del plain["results"][part]["ssim_openstl"]
    rows = list(csv.DictReader(io.StringIO(as_csv(boards([plain])))))
    assert [rows[0]["ssim_openstl"], rows[-1]["kind"]] == ["", "published"]
    assert float(rows[-1]["ssim_openstl"]) > 0.9


def test_the_terminal_shows_every_row():
    (board,) = boards(a_board())
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(table_of(board).terminal(250))
    text = console.export_text()
    for row in board.rows:
        assert row.name in text
    assert "102.00 ± 2.83" in text


def test_the_protocol_names_what_was_recorded():
    (board,) = boards(a_board())
    words = " ".join(protocol(board))
    for said in (
        "embedded",
        "500 sequences",
        "A budget of 4 minutes",
        "several of the seeds 1, 2",
        "a CPU",
    ):
        assert said in words


def test_speeds_are_those_of_the_runs_that_measured_them():
    (board,) = boards(a_board())
    first = board.runs[0]["fingerprint"]
    unmeasured = {"throughput": [], "inference_memory": None}
    (board,) = boards(
        [row | unmeasured if row["fingerprint"] == first else row for row in a_board()]
    )
    assert {"speed", "speed_batched"} <= {column.key for column in columns_of(board)}
    assert "Device: a CPU, 2 of 2 threads." in protocol(board)


def test_a_note_stands_in_the_protocol_once_and_at_each_of_its_entries():
    noted = {"note": "trained elsewhere, 1 < 2"}
    rows = [row | noted if "vit" in row["name"] else row for row in a_board()]
    (board,) = boards(rows)
    assert protocol(board)[-1] == f"2 of {len(board.runs)} runs: trained elsewhere, 1 < 2."
    assert page([board], {}, "").count('<p class="note">trained elsewhere, 1 &lt; 2</p>') == 2


@pytest.mark.parametrize("width", [40, 80, 120, 400])
def test_the_terminal_table_fits_its_width(width):
    (board,) = boards([*a_board(), run("a_model_with_a_very_long_name_" * 3, 111.0)])
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table_of(board).terminal(width))
    lines = console.export_text().rstrip("\n").split("\n")
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    assert "MSE ↓" in text
    assert "102.00 ± 2.83" in text
    assert ("too narrow for:" in text) == (width < 400)
    assert "seeds" in text


def test_the_printed_table_is_as_wide_as_the_terminal(monkeypatch, capsys):
    (board,) = boards(a_board())
    for width in (60, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        show(table_of(board))
        lines = capsys.readouterr().out.split("\n")
        assert width - 30 < max(map(len, lines)) <= width
