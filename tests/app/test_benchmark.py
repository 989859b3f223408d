"""The benchmark command on the real configurations, cut to seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

import predcnn
from predcnn.app.benchmark import benchmark
from predcnn.leaderboard import records
from predcnn.leaderboard.entries import choices, compose_run, entries_of, entry_of
from predcnn.leaderboard.runs import BUSY, overrides_of_budget
from predcnn.training.budget import own_steps

TINY = (
    "data.source=embedded", "data.height=32", "data.val_sequences=2", "data.test_sequences=2",
    "data.batch_size=2", "data.num_workers=0", "data.train_sequences=4", "trainer.max_epochs=1",
    "trainer.accelerator=cpu", "trainer.devices=1", "keep_memory=false",
)  # fmt: skip


def bench_cfg(tmp_path: Path, *overrides: str, tiny: tuple[str, ...] = TINY):
    """Compose the configuration of ``scripts/benchmark.py`` with these overrides."""
    from hydra import compose, initialize_config_module

    ours = [f"output='{tmp_path}/bench'", "run_dir=run"]
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        given = [*tiny, *overrides]
        cfg = compose("benchmark", overrides=[*given, *ours, "overrides=[]"])
    cfg.overrides = given
    return cfg


def test_lists_become_entries_and_overrides_apply_to_all(tmp_path):
    words = ("translators=[vit,gsta]", "models=[copy_last]", "seeds=[1,2]")
    found = entries_of(bench_cfg(tmp_path, *words))
    assert [(e.name, e.seed) for e in found] == [
        ("simvp_vit", 1), ("simvp_vit", 2), ("simvp_gsta", 1), ("simvp_gsta", 2),
        ("copy_last", 1), ("copy_last", 2),
    ]  # fmt: skip
    assert all(e.cfg.data.height == 32 and e.cfg.seed == e.seed for e in found)
    assert len({e.fingerprint for e in found}) == 6
    assert len({e.pace_key for e in found}) == 3
    assert not any(
        word.startswith(("translators", "seeds", "output")) for word in found[0].overrides
    )


def test_an_entry_is_its_settings_budget_and_data(tmp_path):
    def print_of(*words: str) -> str:
        (entry,) = entries_of(bench_cfg(tmp_path, "translator=vit", *words))
        return entry.fingerprint

    same = print_of()
    assert print_of("jobs=2", "any_code=true", "logger=[csv,tensorboard]") == same
    others = [print_of("budget_minutes=3"), print_of("data.test_sequences=3"), print_of("ema=0.9")]
    assert len({same, *others}) == 4


def test_all_selects_every_entry(tmp_path):
    cfg = bench_cfg(tmp_path, "translators=all", "models=[mim]")
    every = [f"translator={name}" for name in predcnn.list_translators()]
    assert [word for (word,) in choices(cfg, [])] == [*every, "model=mim"]
    cfg = bench_cfg(tmp_path, "models=all")
    assert len(choices(cfg, [])) == len(predcnn.list_predictors()) - 1  # simvp is the translators
    nothing = bench_cfg(tmp_path)
    assert choices(nothing, ["model=mim"]) == [[]]
    assert len(choices(nothing, [], everything=True)) == len(every) + len(choices(cfg, []))


def test_entries_of_a_budget_share_the_training_stream(tmp_path):
    """Without a budget the scale gives slow models shorter epochs."""
    few = [word for word in TINY if "train_sequences" not in word]
    words = ("models=[mim,dmvfn]", "budget_minutes=4")
    found = entries_of(bench_cfg(tmp_path, *words, tiny=few))
    assert {e.cfg.data.train_sequences for e in found} == {2500}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("translators=[vit,vit]",), "vit given twice"),
        (("translators=[all,vit]",), "all includes the others"),
        (("translators=[vit]", "translator=gsta"), "give one of the two"),
        (("translators=[vit]", "resume=true"), "a benchmark sets resume"),
        (("seeds=[1,1]",), "different numbers"),
        (("budget_minutes=0",), "more than 0"),
        (("batch_sizes=[0]",), "at least 1"),
        (("mode=reproduce", "translators=[vit]"), "one published recipe"),
        (
            ("mode=reproduce", "translator=mamba"),
            "no result of mamba on moving_mnist after 1 epochs",
        ),
        (("mode=render",), "no run is recorded"),
        (("minutes=5",), "has budget_minutes="),
    ],
)
def test_invalid_overrides_raise_before_anything_runs(tmp_path, words, said):
    with pytest.raises(ValueError, match=said):
        benchmark(bench_cfg(tmp_path, *words))
    assert not (tmp_path / "bench/records.jsonl").exists()


def test_an_unknown_mode_raises(tmp_path):
    with pytest.raises(
        KeyError, match="accepted: train, profile, reproduce, render, robustness, submit"
    ):
        benchmark(bench_cfg(tmp_path, "mode=profil"))


def test_a_budget_spans_the_schedules_and_ends_with_a_validation(tmp_path):
    words = ("scale=published", "model=phydnet", "trainer.accumulate_grad_batches=2")
    (entry,) = entries_of(bench_cfg(tmp_path, *words, tiny=()))
    assert own_steps(entry.cfg) == 200 * 625 // 2
    found = dict(
        word.split("=", 1) for word in overrides_of_budget(entry.cfg, 625, 4, entry.overrides)
    )
    assert found["trainer.max_steps"] == "625"
    assert int(found["trainer.val_check_interval"]) * 5 == 625 * 2  # counts batches
    assert float(found["scale.teacher_decay"]) == pytest.approx(0.003 * 100)
    assert int(found["scale.sampling_steps"]) == 500
    said = [*entry.overrides, "scale.sampling_steps=7"]
    assert not any("sampling" in w for w in overrides_of_budget(entry.cfg, 625, 4, said))


def test_entries_run_are_recorded_shown_and_not_run_again(tmp_path, capfd):
    """One entry works, one cannot: 20 channels are not a multiple of the 8 that MogaNet needs."""
    tmp_path /= "a b"
    words = ("translators=[moganet,convmixer]", "model.net.hid_S=4", "model.net.hid_T=20")
    benchmark(bench_cfg(tmp_path, *words))
    bench = tmp_path / "bench"
    rows = [row for row in records.read(bench / "records.jsonl").rows if row["kind"] == "run"]
    bad, good = rows
    assert (bad["name"], bad["status"]) == ("simvp_moganet", "failed")
    assert "divisible by 8" in bad["reason"]
    assert (good["name"], good["status"]) == ("simvp_convmixer", "finished")
    own = json.loads((bench / good["files"]["results"]).read_text())
    assert {**good["results"], "command": own["command"]} == own
    assert (own["timing"]["steps"], own["timing"]["sequences"]) == (2, 4)
    assert [speed["batch_size"] for speed in good["throughput"]] == [1, 2]
    for name in ("config", "curves", "sequence", "log"):
        assert (bench / good["files"][name]).stat().st_size > 0, name
    assert str(tmp_path) not in (bench / "records.jsonl").read_text()
    black = next(r for r in records.read(bench / "records.jsonl").rows if r["kind"] == "reference")
    with np.load(bench / good["files"]["sequence"]) as shown:
        assert shown["prediction"].shape == shown["truth"].shape == (10, 1, 32, 32)
    assert black["results"]["metrics"]["mse"] > 0
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.html"):
        text = (bench / name).read_text()
        assert "SimVP + ConvMixer" in text
        assert "divisible by 8" in text
    assert len(list(bench.glob("clips/*.png"))) == 2
    capfd.readouterr()

    benchmark(bench_cfg(tmp_path, "translators=[convmixer]", *words[1:]))
    assert "1 entries, 1 of them finished" in capfd.readouterr().out
    again = [row for row in records.read(bench / "records.jsonl").rows if row["kind"] == "run"]
    assert again == rows


def test_a_run_is_checked_and_its_record_printed(tmp_path, capfd, monkeypatch):
    """A run of a benchmark keeps the benchmark's record; any other run gets one of its own."""
    benchmark(bench_cfg(tmp_path, "models=[copy_last]"))
    (run_dir,) = (tmp_path / "bench/entries").glob("*/run")
    capfd.readouterr()

    def submitted(folder: Path) -> dict:
        benchmark(bench_cfg(tmp_path, "mode=submit", f"run='{folder}'"))
        out = capfd.readouterr().out
        line = next(line for line in out.splitlines() if line.startswith("{"))
        assert f"{line}\n" == (folder / "record.jsonl").read_text()
        assert f"cat {folder.as_posix()}/record.jsonl >> docs/leaderboard/records.jsonl" in out
        return json.loads(line)

    results = json.loads((run_dir / "results.json").read_text())
    results["git"] = {"commit": "0" * 40, "changed": True}
    (run_dir / "results.json").write_text(json.dumps(results))
    with pytest.raises(ValueError, match="commit 000000000000 is unknown here"):
        submitted(run_dir)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: SimpleNamespace(returncode=0))
    of_benchmark = submitted(run_dir)
    (recorded,) = (r for r in records.read(tmp_path / "bench/records.jsonl").rows if "seed" in r)
    place = of_benchmark.pop("files")["sequence"]
    assert place == f"entries/copy_last_seed42_{recorded['fingerprint'][:12]}/sequence.npz"
    assert of_benchmark == {key: value for key, value in recorded.items() if key != "files"}

    alone = tmp_path / "alone"
    shutil.copytree(run_dir, alone)
    record = submitted(alone)
    assert (record["budget_minutes"], record["status"]) == (None, "finished")
    assert record["results"]["metrics"] == recorded["results"]["metrics"]
    assert "uncommitted" in record["note"]
    records.append(tmp_path / "bench/records.jsonl", record)
    benchmark(bench_cfg(tmp_path, "mode=render"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "holds results.json"),
        ({"task": "classification"}, "not the test of a predictor"),
        ({"data": {"split": "val"}}, "not the test of a predictor"),
        ({"data": {"split": "test", "fingerprint": "f" * 64}}, "its test had ffffffffffff"),
        ({"git": None}, "made without a git checkout"),
    ],
)
def test_a_run_that_cannot_be_submitted_raises(tmp_path, change, message):
    cfg = bench_cfg(tmp_path, "mode=submit", f"run='{tmp_path}'")
    run = compose_run([*TINY, "model=copy_last"])
    OmegaConf.save(run, tmp_path / "config.yaml", resolve=True)
    data = {"split": "test", "fingerprint": entry_of(run, (), None, {}).data_fingerprint}
    if change is not None:
        content = {"task": "prediction", "data": data}
        (tmp_path / "results.json").write_text(json.dumps({"git": None, **content, **change}))
    with pytest.raises(ValueError, match=message):
        benchmark(cfg)


def start(*words: str) -> subprocess.Popen:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(root / "scripts/benchmark.py"), *TINY[:-5], *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_killed_benchmark_continues_where_it_was(tmp_path):
    """It and its child are killed during a training with a budget."""
    words = (
        "translators=[convmixer]", "models=[copy_last]", "data.train_sequences=400",
        "budget_minutes=0.5", "trainer.accelerator=cpu", "keep_memory=false",
        f"output={tmp_path}",
    )  # fmt: skip
    first = start(*words)
    while not list(tmp_path.rglob("last.ckpt")):
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.5)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    for pid in (first.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    assert not [r for r in records.read(tmp_path / "records.jsonl").rows if r["kind"] == "run"]

    second = start(*words)
    said, _ = second.communicate()
    assert second.returncode == 0, said
    rows = records.read(tmp_path / "records.jsonl").rows
    assert [r["name"] for r in rows if r["kind"] == "probe"] == ["simvp_convmixer", "copy_last"]
    done = {r["name"]: r for r in rows if r["kind"] == "run"}
    assert {r["status"] for r in done.values()} == {"finished"}
    trained = done["simvp_convmixer"]
    assert trained["results"]["timing"]["steps"] == trained["plan"]["steps"]
    assert trained["results"]["timing"]["sequences"] == 2 * trained["plan"]["steps"]
    assert "resuming" in (tmp_path / trained["files"]["log"]).read_text()
    steps, _ = trained["history"]["val/mse"]
    assert [s + 1 for s in steps] == [trained["plan"]["steps"] * i // 5 for i in range(1, 6)]
    assert done["copy_last"]["plan"] is None
    if Path("/proc/stat").exists():
        assert ("note" in trained) == (trained["plan"]["pace"]["taken"] > BUSY)


@pytest.mark.slow
def test_costs_are_next_to_the_published_ones(tmp_path):
    words = ("mode=profile", "translators=[convmixer]", "models=[mau,mean_frame]", "batch_sizes=[]")
    benchmark(bench_cfg(tmp_path, *words, tiny=()))
    lines = (tmp_path / "bench/costs.md").read_text().splitlines()
    cells = {line.split(" | ")[0].lstrip("| "): line.split(" | ") for line in lines if "|" in line}
    assert cells["convmixer"][1:7] == ["3.92", "3.9", "=", "5.45", "5.5", "="]
    assert cells["mau"][1:4] == ["4.48", "4.5", "="]
    assert cells["mean_frame"][1:4] == ["0.00", "–", "–"]


@pytest.mark.slow
def test_a_recipe_that_is_too_long_prints_its_duration(tmp_path, capfd):
    words = ("mode=reproduce", "translator=convmixer", "trainer.max_epochs=200",
             "data.source=embedded", "trainer.accelerator=cpu")  # fmt: skip
    benchmark(bench_cfg(tmp_path, *words, tiny=()))
    said = capfd.readouterr().out
    assert "published: ConvMixer, 200 epochs: MSE 32.09" in said
    assert "125,000 steps take" in said
    assert "nothing was trained" in said
    assert not list(tmp_path.rglob("last.ckpt"))
