"""A study's emulated points, simulated."""

from __future__ import annotations

import csv
import sys

import pytest

from experiments.simulated import command as simulated
from experiments.validation.command import compare
from tests.calibrations import MICRO, put
from tests.plots.scaling_tables import Table

PROBLEM = {
    "adversary_steps": 4, "batch_size": 8, "updates": 5, "dataset": "mnist-5k", "variant": "",
    "overlap": False,
}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Emulated points on 1 and 4 processes, by a calibration in microseconds of 2 cores."""
    named = put(tmp_path).name
    made = Table("strategies", noise=0.01)
    for strategy, processes in (("sequential", 1), ("data_parallel", 4)):
        made.add(
            5 * 532 * MICRO, processes=processes, strategy=strategy, source="emulated",
            calibration=named, **PROBLEM,
        )  # fmt: skip
    made.add(1.0, processes=1, strategy="sequential", **PROBLEM)
    return made.write(tmp_path)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["x", *map(str, arguments)])
    return simulated.run()


def test_each_emulated_point_is_simulated_with_its_own_calibration(table, monkeypatch, capsys):
    assert run(monkeypatch, table, "--launches", 6) == 0
    path = table.with_suffix(".simulated.csv")
    assert str(path) in capsys.readouterr().out
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} == {"simulated"}
    assert [row["processes"] for row in rows] == 6 * ["1"] + 6 * ["4"]
    # One rank: 4 steps of 80 us, 200 of gradients, 7 of the optimizer; no preparation at size 8.
    assert float(rows[0]["seconds"]) == pytest.approx(5 * 527 * MICRO)
    parallel, sequential = compare([table, path], "simulated", "emulated")
    assert sequential.seconds.percent == pytest.approx(100 * (527 / 532 - 1), abs=1.5)
    assert parallel.relative is not None


def test_a_table_without_emulated_points_is_refused(tmp_path, monkeypatch, capsys):
    made = Table("strategies").add(1.0, processes=1, strategy="sequential", **PROBLEM)
    assert run(monkeypatch, made.write(tmp_path)) == 2
    assert "no emulated points" in capsys.readouterr().err


def test_a_calibration_that_is_gone_is_named(table, monkeypatch, capsys):
    for path in (table.parent / "calibration").iterdir():
        path.unlink()
    assert run(monkeypatch, table) == 2
    said = capsys.readouterr().err
    assert "cannot be read as a calibration" in said
    assert "Traceback" not in said
