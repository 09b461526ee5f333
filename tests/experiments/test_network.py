"""The calibration of messages, on two real ranks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.network import PingPong
from harness.study.points import expand
from harness.study.study import load_study
from harness.tables.table import ROW_COLUMNS, read_cells

STUDY = Path(__file__).parents[2] / "experiments" / "network.toml"


@pytest.mark.parametrize("preset", ["smoke", "laptop", "node", "cluster", "paper"])
def test_every_point_can_be_run(preset):
    points = expand(load_study(STUDY, preset))
    for point in points:
        PingPong.check(point.parameters)
    assert {point.nodes for point in points} == ({1, 2} if preset in ("cluster", "paper") else {1})


@pytest.mark.parametrize("changes", [{"processes": 1}, {"message_bytes": 0}, {"round_trips": 0.5}])
def test_what_is_no_exchange_is_refused(changes):
    parameters = {"processes": 2, "message_bytes": 1, "round_trips": 1}
    with pytest.raises(ValueError, match="; expected"):
        PingPong.check(parameters | changes)


@pytest.mark.alone
def test_messages_take_time_and_larger_ones_more(tmp_path):
    """Points that need two nodes are skipped on one machine."""
    subprocess.run(
        [sys.executable, "-m", "harness", "run", str(STUDY), "--results", str(tmp_path),
         "--preset", "smoke", "--oversubscribe", "--set", "nodes=[1, 2]",
         "--set", "message_bytes=[1, 4194304]"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    rows = read_cells(tmp_path / "network.csv", ROW_COLUMNS)[1]
    assert {row["status"] for row in rows if row["nodes"] == "2"} == {"skipped"}
    timed = [row for row in rows if row["nodes"] == "1"]
    assert {row["status"] for row in timed} == {"ok"}
    seconds = {int(row["message_bytes"]): float(row["message_seconds"]) for row in timed}
    assert 0 < seconds[1] < seconds[4194304]
    for row in timed:
        product = float(row["message_seconds"]) * float(row["bytes_per_second"])
        assert product == pytest.approx(int(row["message_bytes"]))
