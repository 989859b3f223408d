"""Boards, ranks and tables from records with known numbers."""

import csv
import io
import statistics

import pytest
from rich.console import Console

import predcnn
from predcnn.leaderboard.boards import boards
from predcnn.leaderboard.columns import as_csv, columns_of, markdown, table_of
from predcnn.leaderboard.names import name_of
from predcnn.leaderboard.page import page
from predcnn.leaderboard.protocol import protocol, summary
from predcnn.leaderboard.render import show
from predcnn.leaderboard.table import best_two
from tests.leaderboard.made_records import a_board, black, failure, run


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
    assert rows_of(board)["all_black"].values["mse"].mean == 230.0
    assert rows_of(board)["copy_last"].values["mse"].mean == 270.0


def test_best_and_second_best_are_eligible_entries():
    """Within 25 % of the best MSE, trained: neither ConvMixer (130) nor the mean frame."""
    (board,) = boards(a_board())
    eligible = {row.name for row in board.rows if row.eligible}
    assert eligible == {"simvp_moganet", "convlstm", "simvp_vit"}
    assert best_two(board.rows, "mse", False) == {"simvp_moganet": 1, "convlstm": 2}
    assert best_two(board.rows, "ssim", True) == {"simvp_moganet": 1, "convlstm": 2}
    assert best_two(board.rows, "speed", True) == {"simvp_vit": 1, "simvp_moganet": 2}
    assert best_two(board.rows, "params", False) == {
        "simvp_vit": 1, "simvp_moganet": 1, "convlstm": 2,
    }  # fmt: skip


def test_a_black_prediction_is_not_marked_though_its_ssim_is_best():
    dark = run("prednet", 230.0, kind="model")
    dark["results"]["metrics"]["ssim"] = 0.99
    (board,) = boards([*a_board(), dark], black={dark["fingerprint"]})
    row = rows_of(board)["prednet"]
    assert (row.tags, row.eligible) == (("collapsed to black",), False)
    assert "prednet" not in best_two(board.rows, "ssim", True)
    assert "PredNet (collapsed to black)" in markdown([board])


@pytest.mark.parametrize(("mse", "tags"), [(153.5, ("no skill",)), (152.5, ())])
def test_errors_above_the_mean_frame_are_tagged_no_skill(mse, tags):
    (board,) = boards([*a_board(), run("dmvfn", mse, kind="model")])
    assert rows_of(board)["dmvfn"].tags == tags
    (without,) = boards([run("dmvfn", 231.0, kind="model"), black()])
    assert rows_of(without)["dmvfn"].tags == ("no skill",)


def test_baselines_have_neither_rank_nor_tag():
    (board,) = boards(a_board())
    baselines = {row.name: (row.rank, row.tags) for row in board.rows if row.kind == "baseline"}
    assert baselines == dict.fromkeys(["mean_frame", "all_black", "copy_last"], ("", ()))


def test_ranks_are_shared_where_intervals_over_seeds_overlap():
    """MogaNet 102 ± 2.8, ViT 122 ± 2.8; one seed takes the pooled deviation, here 2.8."""
    (board,) = boards([*a_board(), run("mau", 106.0, kind="model"), run("tau", 109.0)])
    ranks = {row.name: row.rank for row in board.rows if row.rank}
    assert ranks == {
        "simvp_moganet": "1=", "mau": "1=", "tau": "3=", "convlstm": "3=", "simvp_vit": "5",
        "simvp_convmixer": "6",
    }  # fmt: skip
    (single,) = boards([run("a", 100.0), run("b", 100.1)])
    assert [row.rank for row in single.rows if row.rank] == ["1", "2"]


def test_names_are_readable_and_link_to_paper_and_code():
    slak = name_of("simvp_slak", "translator")
    assert (slak.label, slak.paper) == ("SimVP + SLaK", "https://arxiv.org/abs/2207.03620")
    assert slak.code.name == "slak.py"
    assert name_of("simvp_incepu", "translator").code.parent.name == "translators"
    assert name_of("copy_last", "model").label == "Copy of the last frame"
    for unknown in ("simvp_os.system", "slak", "pkg.module.Block", ""):
        assert name_of(unknown, "translator").label == unknown
    for kind, names in (
        ("translator", predcnn.list_translators()),
        ("model", [name for name in predcnn.list_predictors() if name != "simvp"]),
    ):
        prefix = "simvp_" if kind == "translator" else ""
        assert [n for n in names if name_of(prefix + n, kind).code is None] == []


def test_another_budget_is_another_board():
    longer = {**run("simvp_vit", 90.0), "budget_minutes": 10, "fingerprint": "f"}
    first, second = boards([*a_board(), longer])
    assert (first.key, second.key) == (
        "moving_mnist-small-4min-isolated", "moving_mnist-small-10min-isolated",
    )  # fmt: skip
    assert second.rows[0].name == "simvp_vit"


def test_a_newer_result_replaces_an_older_one_and_a_failure_does_not():
    old = run("simvp_vit", 120.0)
    new = {**run("simvp_vit", 110.0), "code": "d" * 64}
    broken = {**failure("simvp_vit", "no", kind="translator"), "code": "e" * 64}
    (board,) = boards([old, new, broken])
    row = rows_of(board)["simvp_vit"]
    assert (row.values["mse"].mean, row.failures) == (110.0, ())


def test_markdown_has_numbers_protocol_and_failures():
    text = markdown(boards(a_board()))
    line = next(line for line in text.splitlines() if "SimVP + MogaNet" in line)
    assert line.startswith("| 1 | SimVP + MogaNet | **102.00 ± 2.83** |")
    assert "| <u>110.00</u> |" in next(x for x in text.splitlines() if "| ConvLSTM |" in x)
    assert "- Failed: MIM, seed 42: killed by SIGKILL" in text
    assert "| *All black* | 230.00 |" in text
    assert "it is tested once" in text
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


def test_published_ssim_has_a_column_even_if_no_run_measured_it():
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
        assert row.label in text
    assert "102.00 ± 2.83" in text


def test_the_protocol_lists_what_was_recorded():
    (board,) = boards(a_board())
    text = " ".join(protocol(board))
    for part in ("embedded", "500 sequences", "A budget of 4 minutes", "seeds 1, 2", "a CPU"):
        assert part in text
    assert summary(board).startswith("4 minutes of training each on a CPU, scale small; 500 test")


def test_speeds_are_those_of_the_runs_that_measured_them():
    (board,) = boards(a_board())
    first = board.runs[0]["fingerprint"]
    unmeasured = {"throughput": [], "inference_memory": None}
    (board,) = boards(
        [row | unmeasured if row["fingerprint"] == first else row for row in a_board()]
    )
    assert {"speed", "speed_batched"} <= {column.key for column in columns_of(board)}
    assert "Device: a CPU, 2 of 2 threads." in protocol(board)


def test_a_note_is_in_the_protocol_once_and_at_each_of_its_entries(tmp_path):
    noted = {"note": "trained elsewhere, 1 < 2"}
    rows = [row | noted if "vit" in row["name"] else row for row in a_board()]
    (board,) = boards(rows)
    assert protocol(board)[-1] == f"2 of {len(board.runs)} runs: trained elsewhere, 1 < 2."
    assert (
        page([board], {}, "", tmp_path).count('<p class="note">trained elsewhere, 1 &lt; 2</p>')
        == 2
    )


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
