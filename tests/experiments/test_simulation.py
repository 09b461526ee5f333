"""The commands `experiments.simulation` and `experiments.virtual`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from experiments.simulation import command as simulation
from experiments.simulation.study import machine_of, read, study_point
from sparring.errors import SparringError
from sparring.modelling.calibration.calibration import load

ROOT = Path(__file__).parents[2]
NODE = ROOT / "experiments" / "calibrations" / "m4.16xlarge.toml"
SMALL = f"""
adversary_steps = 4
batch_size = 8
updates = 20
batches_per_generator = 5
seed = 0
[[machines]]
calibration = "{NODE}"
title = "the study's node"
[[series]]
definition = "strong"
strategy = "data_parallel"
variant = "data_parallel"
processes = [1, 2, 32]
[[series]]
definition = "strong"
strategy = "pipeline"
variant = "pipeline"
processes = [2, 4]
"""


@pytest.fixture
def description(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def test_a_table_of_simulated_rows(description, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", str(description), "--results", str(tmp_path)])
    assert simulation.run() == 0
    with (tmp_path / "simulation.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["processes"] for row in rows] == ["1", "2", "32", "2", "4"]
    assert {row["source"] for row in rows} == {"simulated"}
    assert float(rows[0]["speedup"]) == pytest.approx(1, rel=1e-6)
    assert float(rows[2]["speedup"]) < 8.5  # 8 images for 32 ranks
    assert rows[2]["limit"] == "imbalance"
    assert "limited by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("updates = 20", "updates = 0", "key 'updates': expected greater than or equal to 1"),
        ('"strong"\nstrategy = "p', '"steep"\nstrategy = "p', "key 'series.1.definition'"),
        ("[[machines]]", "cores = 3\n[[machines]]", "key 'cores'"),
        ("seed = 0", "seed = ", "cannot be read as a simulation"),
        ("[1, 2, 32]", "[1, 2, 33]", "expected 1 to 32 processes, not 33"),
        ('title =', 'nodes = 2\ntitle =', "expected 'between'"),
        ("[2, 4]", "[2, 4]\noptions = { credits = 0 }", "credits must be at least 1"),
        ("[2, 4]", "[2, 4]\noptions = { speed = 1 }", "series 'pipeline'"),
        (str(NODE), "nowhere.toml", "nowhere.toml: cannot be read as a calibration"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(description, tmp_path, monkeypatch, capsys, wrong, right, told):
    assert wrong in SMALL
    description.write_text(SMALL.replace(wrong, right, 1), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["x", str(description), "--results", str(tmp_path)])
    assert simulation.run() == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "simulation.csv").exists()


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("cores_per_node = 32", "cores_per_node = 0", "key 'cores_per_node'"),
        ("active_cores = 8", "active_cores = 2", "slowdown must be ascending"),
        ("[probe]", "[prob]", "key 'prob'"),
        ("median = 0.040142", "median = -1.0", "key 'work.1.step.median'"),
    ],
)
def test_a_machine_with_a_mistake_is_one_sentence(tmp_path, wrong, right, told):
    text = NODE.read_text(encoding="utf-8")
    assert wrong in text
    path = tmp_path / "node.toml"
    path.write_text(text.replace(wrong, right, 1), encoding="utf-8")
    with pytest.raises(SparringError, match=f"node.toml: .*{told}"):
        load(path)


def test_the_project_s_own_description_can_be_read():
    read_back = read(ROOT / "experiments" / "simulation.toml")
    machines = [machine_of(m, ROOT / "experiments", NODE) for m in read_back.machines]
    assert all(m is not None and m.nodes * m.cores_per_node >= 10_000 for m in machines)
    assert machine_of(read_back.machines[1], ROOT / "experiments", None) is None


@pytest.mark.parametrize("processes", [2, 4, 8, 16, 32])
def test_the_study_s_epoch_is_predicted_within_a_tenth(processes):
    """From the row of one process and stated facts alone; the closed form errs by up to 24 %."""
    with (ROOT / "results/reference/strong_scaling.csv").open(encoding="utf-8") as file:
        measured = {int(r["processes"]): float(r["epoch_seconds"]) for r in csv.DictReader(file)}
    study = read(ROOT / "experiments" / "simulation.toml")
    assert study.study is not None
    row = study_point(study, study.study, load(NODE), processes)
    assert float(row["seconds"]) == pytest.approx(measured[processes], rel=0.1)


def test_virtual_trains_once_and_only_what_is_missing(tmp_path, monkeypatch, capsys):
    from experiments.virtual import command as virtual

    def run(*processes):
        arguments = ["--images", "40", "--batch-size", "8", "--adversary-steps", "2", "--out",
                     str(table), "--evaluation-images", "8", "--backend", "torch",
                     "--study-partial-batches"]  # fmt: skip
        chosen = [word for p in processes for word in ("-p", str(p))]
        monkeypatch.setattr(sys, "argv", ["x", *chosen, *arguments])
        assert virtual.run() == 0
        return capsys.readouterr().out

    table = tmp_path / "virtual.csv"
    assert "done already" not in run(3)
    text = table.read_text(encoding="utf-8")
    assert "done already" in run(3, 1)
    assert table.read_text(encoding="utf-8").startswith(text)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [(r["processes"], r["study_partial_batches"]) for r in rows] == [
        ("3", "true"), ("1", "false"),
    ]  # fmt: skip
    assert {r["source"] for r in rows} == {"simulated"}
    assert all(0 <= float(r["robust_accuracy"]) <= 1 for r in rows)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-p", "40"], "expected 1 to 32 processes, not 40"),
        (["-p", "0"], "0 is not in the range"),
        (["-p", "4", "--machine", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["-p", "32", "--images", "20"], "expected 1 to 20 generators for 20 images, not 31"),
    ],
)
def test_virtual_refuses_bad_input_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, told):
    from experiments.virtual import command as virtual

    monkeypatch.setattr(sys, "argv", ["x", *arguments, "--out", str(tmp_path / "v.csv")])
    assert virtual.run() == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "v.csv").exists()
